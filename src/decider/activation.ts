/**
 * What people write as deciders (`kind: Rule`, `kind: Schedule`), and the events by which it becomes active.
 *
 * A definition becomes active by `rule.activated` or `schedule.activated`, which carries its text: the log
 * alone says which version decided what, and a kernel that starts again builds its deciders from there.
 */
import { formatProblem, readKinds, type DocumentProblem } from "../base/document.ts";
import { err, ok, type Result } from "../base/result.ts";
import type { LogRecord, NewEvent } from "../event/envelope.ts";
import { untyped, type Decider } from "./decider.ts";
import { readNamed } from "./request/named.ts";
import { compileRule, type Rule } from "./rule/compile.ts";
import { ruleSchema, type RuleSource } from "./rule/rule-schema.ts";
import { ruleDecider } from "./rule.ts";
import { compileSchedule, type Schedule } from "./schedule/compile.ts";
import { scheduleSchema, type ScheduleSource } from "./schedule/schedule-schema.ts";
import { scheduleDecider } from "./schedule.ts";

/** The kinds of definitions; each has its own names. */
export const definitionKinds = ["rule", "schedule"] as const;

export type DefinitionKind = (typeof definitionKinds)[number];

export type Definition = Rule | Schedule;

/** Which version of which definition. */
export type DefinitionId = Pick<Definition, "kind" | "name" | "version">;

/** What a change of definitions is recorded with. */
export type DefinitionChange = {
  readonly file: string;
  /** RFC 3339. */
  readonly ts: string;
  /** The version that was active until now; so that going back to an old version is a change, too. */
  readonly replaces: string | undefined;
};

/** Reads all definitions of a file, in any mix of kinds. A name may occur once for a kind. */
export function parseDefinitions(
  text: string,
  file: string,
): Result<readonly Definition[], readonly DocumentProblem[]> {
  const documents = readKinds<typeof ruleSchema | typeof scheduleSchema>(text, file, {
    Rule: ruleSchema,
    Schedule: scheduleSchema,
  });
  if (!documents.ok) return documents;
  return readNamed<RuleSource | ScheduleSource, Definition>(
    documents.value,
    ({ value, problem }) =>
      value.kind === "Rule" ? compileRule({ value, problem }) : compileSchedule({ value, problem }),
  );
}

/** `text` is the one YAML document of this definition, or the file that holds it. */
export function activationEvent(
  definition: Definition,
  text: string,
  change: DefinitionChange,
): NewEvent {
  const { name, version, mode } = definition;
  const { file, replaces = "none" } = change;
  return changeEvent("activated", definition, {
    change,
    key: `${version}/after/${replaces}/${change.ts}`,
    attrs: { name, version, mode, file, text, replaces },
  });
}

export function deactivationEvent(id: DefinitionId, change: DefinitionChange): NewEvent {
  const { name, version } = id;
  return changeEvent("deactivated", id, {
    change,
    key: `${version}/${change.ts}`,
    attrs: { name, version, file: change.file },
  });
}

/** The change that an event type stands for; `undefined` for every other type. */
export function changeOf(eventType: string): KindOfChange | undefined {
  return changes.get(eventType);
}

type KindOfChange = { readonly kind: DefinitionKind; readonly active: boolean };

const changes: ReadonlyMap<string, KindOfChange> = new Map(
  definitionKinds.flatMap((kind): [string, KindOfChange][] => [
    [`${kind}.activated`, { kind, active: true }],
    [`${kind}.deactivated`, { kind, active: false }],
  ]),
);

/** Builds the decider that an activation stands for. */
export function deciderFromActivation(record: LogRecord): Result<Decider<unknown>, string> {
  const { event_type: type, attrs } = record.event;
  const { name, text, file } = attrs;
  const kind = changeOf(type)?.kind;
  if (kind === undefined) return err(`${type} activates nothing`);
  if (typeof name !== "string" || typeof text !== "string") {
    return err(`${type} must carry the ${kind}'s name and text`);
  }
  const parsed = parseDefinitions(text, typeof file === "string" ? file : name);
  if (!parsed.ok) return err(parsed.error.map(formatProblem).join("; "));
  const found = parsed.value.find((one) => one.kind === kind && one.name === name);
  if (found === undefined) return err(`its text holds no ${kind} "${name}"`);
  return ok(found.kind === "rule" ? untyped(ruleDecider(found)) : untyped(scheduleDecider(found)));
}

function changeEvent(
  what: "activated" | "deactivated",
  { kind, name }: Pick<DefinitionId, "kind" | "name">,
  of: {
    readonly change: DefinitionChange;
    readonly key: string;
    readonly attrs: NewEvent["attrs"];
  },
): NewEvent {
  return {
    ts: of.change.ts,
    event_type: `${kind}.${what}`,
    entity_id: `${kind}:${name}`,
    idempotency_key: `${kind}.${what}/${name}/${of.key}`,
    source: { system: "deed", ns: { component: `${kind}s` } },
    tags: {},
    attrs: of.attrs,
  };
}
