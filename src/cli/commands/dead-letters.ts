import { userInfo } from "node:os";
import type { Command } from "commander";
import { isJsonObject } from "../../base/json.ts";
import { clientOf, terminalOf } from "../context.ts";
import { table, text } from "../terminal.ts";

/** `deed dlq`: what needs a person. */
export function deadLetterCommands(program: Command): void {
  const dlq = program.command("dlq").description("dead letters: actions that need a person");
  dlq
    .command("list", { isDefault: true })
    .description("what is pending, newest first")
    .option("--limit <n>", "how many", "20")
    .action(async (options: { limit: string }, command: Command) => {
      const answer = await clientOf(command).deadLetters({ limit: options.limit });
      const rows = answer.dead_letters.map((letter) => [
        text(letter["ended_at"]),
        letter.action_id,
        text(letter["command"]),
        text(letter["entity_id"]),
        text(letter["reason"]),
        text(letter["attempts"]),
        isJsonObject(letter["last_error"])
          ? text(letter["last_error"]["message"]).slice(0, 80)
          : "",
      ]);
      const head = ["ended", "action", "command", "entity", "reason", "attempts", "last error"];
      terminalOf(command).result(answer, () => table(head, rows));
    });
  dlq
    .command("redrive <id>")
    .description("ask for it again, as a new action")
    .option("--by <name>", "who decides", userInfo().username)
    .action(async (id: string, options: { by: string }, command: Command) => {
      const action = await clientOf(command).redrive(id, { by: options.by });
      terminalOf(command).result(
        action,
        () => `${action.action_id} was asked for in place of ${id}`,
      );
    });
  dlq
    .command("discard <id>")
    .description("settle it without another try")
    .requiredOption("--reason <text>", "why")
    .option("--by <name>", "who decides", userInfo().username)
    .action(async (id: string, options: { by: string; reason: string }, command: Command) => {
      const action = await clientOf(command).discard(id, {
        by: options.by,
        reason: options.reason,
      });
      terminalOf(command).result(action, () => `${action.action_id} was discarded`);
    });
}
