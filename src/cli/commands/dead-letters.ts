import { userInfo } from "node:os";
import type { Command } from "commander";
import { isJsonObject } from "../../base/json.ts";
import { wholeFlag, type Context } from "../context.ts";
import { text } from "../terminal.ts";

type ListFlags = { readonly limit: number; readonly cursor?: string };

/** `deed dlq`: what needs a person. */
export function deadLetterCommands(program: Command, context: Context): void {
  const dlq = program.command("dlq").description("dead letters: actions that need a person");
  dlq
    .command("list", { isDefault: true })
    .description("what is pending, newest first")
    .option("--limit <n>", "how many", wholeFlag, 20)
    .option("--cursor <cursor>", "the next page")
    .action(async (options: ListFlags, command: Command) => {
      const answer = await context.clientOf(command).deadLetters(options);
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
      const terminal = context.terminalOf(command);
      terminal.result(answer, () => terminal.table(head, rows));
      if (answer["next_cursor"] !== undefined)
        terminal.say(`more: --cursor ${text(answer["next_cursor"])}`);
    });
  dlq
    .command("redrive <id>")
    .description("ask for it again, as a new action")
    .addHelpText("after", "\nExample: deed dlq redrive act_0123456789abcdef0123456789abcdef")
    .option("--by <name>", "who decides", userInfo().username)
    .action(async (id: string, options: { by: string }, command: Command) => {
      const action = await context.clientOf(command).redrive(id, { by: options.by });
      context
        .terminalOf(command)
        .result(action, () => `${action.action_id} was asked for in place of ${id}`);
    });
  dlq
    .command("discard <id>")
    .description("settle it without another try")
    .addHelpText(
      "after",
      '\nExample: deed dlq discard act_0123456789abcdef0123456789abcdef --reason "host is gone"',
    )
    .requiredOption("--reason <text>", "why")
    .option("--by <name>", "who decides", userInfo().username)
    .action(async (id: string, options: { by: string; reason: string }, command: Command) => {
      const action = await context.clientOf(command).discard(id, {
        by: options.by,
        reason: options.reason,
      });
      context.terminalOf(command).result(action, () => `${action.action_id} was discarded`);
    });
}
