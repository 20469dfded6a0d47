import type { Command } from "commander";
import type { Json, JsonObject } from "../../base/json.ts";
import { isJsonObject } from "../../base/json.ts";
import type { ActionView, Client, RecordView } from "../../client/client.ts";
import { numberFlag, wholeFlag, type Context } from "../context.ts";
import { pairsOf } from "../inputs.ts";
import { Exit, exitCodes, statusColour, text, type Terminal } from "../terminal.ts";
import { timelineLines } from "../timeline.ts";

type RequestFlags = {
  readonly arg: readonly string[];
  readonly args?: string;
  readonly entity?: string;
  readonly key?: string;
  readonly ttl?: number;
  readonly priority?: string;
  readonly wait?: number;
  readonly tenant?: string;
};

export function actionCommands(program: Command, context: Context): void {
  requestCommand(program, context);
  program
    .command("actions")
    .description("list actions, newest first")
    .option("--status <statuses>", "comma-separated")
    .option("--for <command>", "of this command")
    .option("--entity <id>", "about this entity")
    .option("--correlation <id>", "of this occurrence")
    .option("--limit <n>", "how many", wholeFlag, 20)
    .option("--cursor <cursor>", "the next page")
    .addHelpText("after", "\nExample: deed actions --status failed,cancelled --limit 50")
    .action((flags: ListFlags, command: Command) => list(context, flags, command));
  program
    .command("action <id>")
    .description("the timeline of one action, with its cause")
    .addHelpText("after", "\nExample: deed action act_0123456789abcdef0123456789abcdef")
    .action((id: string, _: unknown, command: Command) => show(context, id, command));
  program
    .command("cancel <id>")
    .description("cancel an action, or an execution of a playbook")
    .option("--reason <text>", "why; it is recorded")
    .addHelpText(
      "after",
      '\nExample: deed cancel act_0123456789abcdef0123456789abcdef --reason "wrong host"',
    )
    .action(async (id: string, options: { reason?: string }, command: Command) => {
      const body = options.reason === undefined ? {} : { reason: options.reason };
      const client = context.clientOf(command);
      const isExecution = /^\d+$/.test(id);
      const answer = isExecution
        ? await client.cancelExecution(id, body)
        : await client.cancel(id, body);
      context
        .terminalOf(command)
        .result(answer, () => `${id} ${answer.status}: cancel was asked for`);
    });
  program
    .command("commands")
    .description("the commands that the node executes")
    .action(async (_: unknown, command: Command) => {
      const terminal = context.terminalOf(command);
      const answer = await context.clientOf(command).get("/v1/commands");
      const rows = objectsOf(answer["commands"]).map((one) => [
        text(one["command"]),
        text(one["description"]),
      ]);
      terminal.result(answer, () => terminal.table(["command", "what it does"], rows));
    });
}

function requestCommand(program: Command, context: Context): void {
  program
    .command("request <command>")
    .description("ask for an action")
    .option("--arg <name=value>", "one argument; the value is JSON, or else text", collect, [])
    .option("--args <json>", "all arguments as a JSON object; @file or - reads them")
    .option("--entity <id>", "what it is about, as in service:web")
    .option("--key <key>", "idempotency key: asking twice with one key is one action")
    .option("--ttl <seconds>", "give up where it is not started by then", numberFlag)
    .option("--priority <priority>", "critical, high, normal or low")
    .option("--tenant <tenant>", "for whom, where the token does not say")
    .option("--wait <seconds>", "wait for the outcome; at most 300", wholeFlag)
    .addHelpText(
      "after",
      '\nExample: deed request shell.run --arg argv=\'["./restart.sh","web"]\' --entity service:web --wait 30',
    )
    .action((name: string, flags: RequestFlags, command: Command) =>
      request(context, { name, flags }, command),
    );
}

function collect(value: string, before: readonly string[]): readonly string[] {
  return [...before, value];
}

async function request(
  context: Context,
  { name, flags }: { readonly name: string; readonly flags: RequestFlags },
  command: Command,
): Promise<void> {
  const terminal = context.terminalOf(command);
  const body: JsonObject = {
    command: name,
    args: argsOf(context, flags),
    ...(flags.entity === undefined ? {} : { entity_id: flags.entity }),
    ...(flags.ttl === undefined ? {} : { ttl_sec: flags.ttl }),
    ...(flags.priority === undefined ? {} : { priority: flags.priority }),
    ...(flags.tenant === undefined ? {} : { tenant: flags.tenant }),
  };
  const action = await context.clientOf(command).request(body, {
    ...(flags.wait === undefined ? {} : { waitSec: flags.wait }),
    ...(flags.key === undefined ? {} : { idempotencyKey: flags.key }),
  });
  terminal.result(action, () => summary(terminal, action));
  if (action.status === "failed" || action.status === "cancelled")
    throw new Exit(exitCodes.failed, "");
}

function argsOf(context: Context, { arg, args }: RequestFlags): JsonObject {
  const whole = args === undefined ? {} : parseJson(context.valueOrFile(args), "--args");
  if (!isJsonObject(whole)) throw new Exit(exitCodes.usage, "--args must be a JSON object");
  return { ...whole, ...pairsOf(arg, "--arg") };
}

function parseJson(source: string, where: string): Json {
  try {
    return JSON.parse(source) as Json;
  } catch (thrown) {
    throw new Exit(
      exitCodes.usage,
      `${where} is not JSON: ${thrown instanceof Error ? thrown.message : ""}`,
    );
  }
}

function summary(terminal: Terminal, action: ActionView): string {
  const lines = [
    `${action.action_id} ${terminal.paint(statusColour(action.status), action.status)}`,
  ];
  if (action["duplicate"] === true) lines.push("the key was used before: this is that action");
  if (action["note"] !== undefined) lines.push(text(action["note"]));
  if (action["deferred"] !== undefined) lines.push(waitsFor(action["deferred"]));
  if (action["error"] !== undefined) lines.push(`error: ${text(action["error"])}`);
  if (action["result"] !== undefined) lines.push(`result: ${JSON.stringify(action["result"])}`);
  return lines.join("\n");
}

/** Why an action waits, and who holds what it waits for. */
function waitsFor(deferred: Json | undefined): string {
  if (!isJsonObject(deferred)) return "waits";
  const { reason, limit_key: key, holders } = deferred;
  const held = Array.isArray(holders) && holders.length > 0 ? `held by ${holders.join(", ")}` : "";
  return ["waits:", text(reason), text(key), held].filter((part) => part !== "").join(" ");
}

type ListFlags = {
  readonly status?: string;
  readonly for?: string;
  readonly entity?: string;
  readonly correlation?: string;
  readonly limit: number;
  readonly cursor?: string;
};

async function list(context: Context, flags: ListFlags, command: Command): Promise<void> {
  const terminal = context.terminalOf(command);
  const answer = await context.clientOf(command).actions({
    limit: flags.limit,
    ...(flags.status === undefined ? {} : { status: flags.status }),
    ...(flags.for === undefined ? {} : { command: flags.for }),
    ...(flags.entity === undefined ? {} : { entity_id: flags.entity }),
    ...(flags.correlation === undefined ? {} : { correlation_id: flags.correlation }),
    ...(flags.cursor === undefined ? {} : { cursor: flags.cursor }),
  });
  terminal.result(answer, () =>
    terminal.table(
      ["requested", "action", "status", "command", "entity", "attempt", "error"],
      answer.actions.map((action) => [
        text(action["requested_at"]),
        action.action_id,
        action.status,
        text(action["command"]),
        text(action["entity_id"]),
        text(action["attempt"]),
        text(action["error_kind"]),
      ]),
    ),
  );
  if (answer["next_cursor"] !== undefined)
    terminal.say(`more: --cursor ${text(answer["next_cursor"])}`);
}

async function show(context: Context, id: string, command: Command): Promise<void> {
  const terminal = context.terminalOf(command);
  const client = context.clientOf(command);
  const action = await client.action(id);
  const events = await client.actionEvents(id);
  const cause = await causeOf(client, events[0]);
  terminal.result({ action, cause, events }, () =>
    timeline(terminal, action, [...cause, ...events]),
  );
}

/** The observation that led to the action, and the rule that decided on it. */
async function causeOf(
  client: Client,
  first: RecordView | undefined,
): Promise<readonly RecordView[]> {
  const trigger = first?.event["causation_id"];
  if (typeof trigger !== "string" || first === undefined) return [];
  const observed = await client.event(trigger).catch(() => undefined);
  if (observed === undefined) return [];
  const from = String(observed.offset);
  const near = await client.get(`/v1/events?from=${from}&limit=50&topic=decisions`);
  const decided = (near["records"] as unknown as readonly RecordView[]).find(
    ({ event }) =>
      isJsonObject(event["attrs"]) && event["attrs"]["action_id"] === first.event["action_id"],
  );
  return decided === undefined ? [observed] : [observed, decided];
}

function timeline(terminal: Terminal, action: ActionView, records: readonly RecordView[]): string {
  const head = `${action.action_id}  ${text(action["command"])}  ${text(action["entity_id"])}  ${terminal.paint(statusColour(action.status), action.status)}`;
  return [head, ...timelineLines(terminal, records)].join("\n");
}

/** The members of a list that are objects. */
export function objectsOf(value: Json | undefined): readonly JsonObject[] {
  return Array.isArray(value) ? value.filter(isJsonObject) : [];
}
