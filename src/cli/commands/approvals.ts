import { userInfo } from "node:os";
import type { Command } from "commander";
import type { ActionView, Client } from "../../client/client.ts";
import type { Context } from "../context.ts";
import { Exit, exitCodes, printable, text } from "../terminal.ts";

type ApproveFlags = { readonly refuse?: boolean; readonly reason?: string; readonly by: string };

/** What waits for a person, and the answer. */
export function approvalCommands(program: Command, context: Context): void {
  program
    .command("approvals")
    .description("what waits for a person's answer")
    .action(async (_: unknown, command: Command) => {
      const terminal = context.terminalOf(command);
      const answer = await context.clientOf(command).approvals();
      terminal.result(answer, () =>
        terminal.table(
          ["requested", "action", "execution", "step", "message"],
          answer.approvals.map((one) => [
            text(one["requested_at"]),
            one.action_id,
            text(one["execution_id"]),
            text(one["step"]),
            printable(text(one["message"])),
          ]),
        ),
      );
    });
  program
    .command("approve <id>")
    .description("answer what waits: the id of an action, or of an execution in which one waits")
    .option("--refuse", "say no")
    .option("--reason <text>", "why; it is recorded")
    .option("--by <name>", "who answers", userInfo().username)
    .addHelpText(
      "after",
      '\nExample: deed approve 4610537407555297204 --refuse --reason "not this week"',
    )
    .action(async (id: string, { refuse, reason, by }: ApproveFlags, command: Command) => {
      const client = context.clientOf(command);
      const action = await client.answerApproval(await waitingIn(client, id), {
        approved: refuse !== true,
        by,
        ...(reason === undefined ? {} : { reason }),
      });
      const said = refuse === true ? "refused" : "approved";
      context.terminalOf(command).result(action, () => `${action.action_id} ${said}`);
    });
}

/** The action that waits. @throws {Exit} where an execution has none, or several. */
async function waitingIn(client: Client, id: string): Promise<string> {
  if (!/^\d+$/.test(id)) return id;
  const waiting = await allOf(client, id);
  const [only, another] = waiting;
  if (only === undefined) {
    throw new Exit(exitCodes.usage, `nothing waits for an answer in execution ${id}`);
  }
  if (another !== undefined) {
    const ids = waiting.map((one) => `  ${one.action_id} ${printable(text(one["message"]))}`);
    const message = `several wait for an answer in execution ${id}: name one of them`;
    throw new Exit(exitCodes.usage, [message, ...ids].join("\n"));
  }
  return only.action_id;
}

async function allOf(client: Client, id: string): Promise<readonly ActionView[]> {
  const found: ActionView[] = [];
  let cursor: string | undefined;
  do {
    const page = await client.approvals({
      limit: 500,
      ...(cursor === undefined ? {} : { cursor }),
    });
    found.push(...page.approvals.filter((one) => one["execution_id"] === id));
    cursor = page.next_cursor;
  } while (cursor !== undefined);
  return found;
}
