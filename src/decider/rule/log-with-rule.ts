/**
 * One rule on a log, for tests: what comes in is folded and decided, and what was decided comes back
 * through the fold before the next input, as the kernel does it.
 */
import { timestamp } from "../../base/clock.ts";
import { formatProblem } from "../../base/document.ts";
import { present } from "../../base/assert.ts";
import type { DeedEvent, LogRecord, NewEvent } from "../../event/envelope.ts";
import { eventId } from "../../event/ids.ts";
import { topicOf } from "../../event/topic.ts";
import type { Decider } from "../decider.ts";
import { parseRules } from "../rule.ts";
import type { Rule } from "./compile.ts";
import { decideByRule, type RuleState } from "./decide.ts";

/** The clock of these logs begins here. */
export const t0 = Date.UTC(2026, 10, 24, 5);

/** A rule with this `spec` in YAML; without a request it asks for `shell.run`. */
export function ruleOf(spec: string): Rule {
  const request = spec.includes("request:") ? "" : "\n  request: {command: shell.run}";
  const text = `apiVersion: deed/v1\nkind: Rule\nmetadata: {name: restart}\nspec:\n${spec.replace(/^/gm, "  ")}${request}`;
  const parsed = parseRules(text, "a.yaml");
  if (!parsed.ok) throw new Error(parsed.error.map(formatProblem).join("\n"));
  return present(parsed.value[0], "a rule");
}

/** Something that happened `eventMs` and that the log took in `atMs`; of `job:etl`, failed, where it says nothing. */
export type Seen = Partial<Omit<NewEvent, "ts">> & {
  readonly atMs?: number;
  readonly eventMs?: number;
};

export type RuleLog = {
  readonly decider: Decider<RuleState>;
  readonly records: readonly LogRecord[];
  readonly states: ReadonlyMap<string, RuleState>;
  /** Gives what the rule decided about it. */
  readonly see: (seen?: Seen) => readonly NewEvent[];
};

export function logWith(rule: Rule): RuleLog {
  const decider = decideByRule(rule);
  const states = new Map<string, RuleState>();
  const records: LogRecord[] = [];
  const take = (event: NewEvent, ingestedAtMs: number): readonly NewEvent[] => {
    const offset = records.length + 1;
    const stored: DeedEvent = { ...event, event_id: eventId(String(1_000 + offset)) };
    const topic = topicOf(event.event_type);
    const record = { topic, partition: 0, offset, ingestedAtMs, event: stored };
    records.push(record);
    return decider.keysOf(record).flatMap((key) => {
      const state = decider.evolve(states.get(key) ?? decider.initial(key), record);
      states.set(key, state);
      return decider.decide(state, record);
    });
  };
  return {
    decider,
    records,
    states,
    see: ({ atMs = t0, eventMs = atMs, ...more } = {}) => {
      const event: NewEvent = {
        ts: timestamp(eventMs),
        event_type: "job.failed",
        entity_id: "job:etl",
        source: { system: "cron", ns: {} },
        tags: {},
        attrs: {},
        ...more,
      };
      const decided = take(event, atMs);
      // What a rule decides never makes it decide again: the harness would not drive that.
      return [...decided, ...decided.flatMap((one) => take(one, atMs))];
    },
  };
}
