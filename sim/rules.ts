/** The rules of a simulated world, in versions that replace each other while it runs. */
import { timestamp } from "../src/base/clock.ts";
import { activationEvent, deactivationEvent } from "../src/decider/activation.ts";
import { parseRules, type Rule } from "../src/decider/rule.ts";
import type { LogRecord, NewEvent } from "../src/event/envelope.ts";
import type { Violation } from "./invariants.ts";

/** The cool-down of each rule, over all its versions the shortest, milliseconds. */
const coolDownMs: Readonly<Record<string, number>> = {
  repair: 20_000,
  clean: 5_000,
  again: 30_000,
};

const heads = {
  repair: `
  on: job.failed
  when: event.attrs.bad == true
  horizon: 2m
  cool_down: 20s
  request:
    command: sim.once
    args: { n: 1 }
    ttl: 90s`,
  clean: `
  on: disk.*
  per: event.attrs.host
  cool_down: 5s
  throttle: { count: 3, within: 60s }
  request:
    command: sim.safe
    args: { n: 2 }
    priority: high
    concurrency: { key: "host-{{ event.attrs.host }}", limit: 1 }`,
  again: `
  on: action.failed
  cool_down: 30s
  request:
    command: sim.safe
    args: { n: 3 }
    ttl: 60s`,
} as const;

export type RuleName = keyof typeof heads;

export const ruleNames: readonly RuleName[] = ["repair", "clean", "again"];

/** `timeout` makes one version differ from another without a change of what is judged. */
export function ruleChange(
  name: RuleName,
  version: number,
  at: { readonly nowMs: number; readonly replaces: string | undefined },
): NewEvent {
  const { rule, text } = ruleOf(name, version);
  const change = { file: `${name}.yaml`, ts: timestamp(at.nowMs), replaces: at.replaces };
  return activationEvent(rule, text, change);
}

type Read = { readonly rule: Rule; readonly text: string };

const read = new Map<string, Read>();

/** Read once: what is simulated is the program, not those who write its rules. */
function ruleOf(name: RuleName, version: number): Read {
  const key = `${name}/${String(version)}`;
  const known = read.get(key);
  if (known !== undefined) return known;
  const text = `apiVersion: deed/v1
kind: Rule
metadata: { name: ${name} }
spec:${heads[name]}
    timeout: ${String(20 + version)}s
`;
  const parsed = parseRules(text, `${name}.yaml`);
  const [rule] = parsed.ok ? parsed.value : [];
  if (rule === undefined) throw new Error(`Rule ${name} cannot be read`);
  const made = { rule, text };
  read.set(key, made);
  return made;
}

export function ruleEnd(name: string, version: string, nowMs: number): NewEvent {
  return deactivationEvent(
    { kind: "rule", name, version },
    {
      file: `${name}.yaml`,
      ts: timestamp(nowMs),
      replaces: undefined,
    },
  );
}

/** A rule acts once within its cool-down for one key, and what it fired for is asked for with it. */
export function judgeRules(records: readonly LogRecord[]): readonly Violation[] {
  const violations: Violation[] = [];
  const fired = new Map<string, number>();
  const requested: ReadonlySet<unknown> = new Set(
    records
      .filter(({ event }) => event.event_type === "action.requested")
      .map(({ event }) => event.action_id),
  );
  for (const { event, ingestedAtMs } of records) {
    const { rule, key, action_id: action } = event.attrs;
    if (event.event_type !== "rule.fired" || typeof rule !== "string") continue;
    const id = `${rule} for ${JSON.stringify(key)}`;
    const lastMs = fired.get(id);
    if (lastMs !== undefined && ingestedAtMs < lastMs + (coolDownMs[rule] ?? 0)) {
      violations.push({
        invariant: "rule",
        message: `${id} fired again after ${String(ingestedAtMs - lastMs)} ms`,
      });
    }
    fired.set(id, ingestedAtMs);
    if (!requested.has(action)) {
      violations.push({ invariant: "atomic", message: `${id} fired and asked for nothing` });
    }
  }
  return violations;
}
