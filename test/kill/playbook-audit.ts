/**
 * Judges a storm of playbooks against a run of the same without kills.
 *
 * 1. Every execution has ended, with the status, the failed steps and the result that it has without kills.
 * 2. What promises idempotence was done outside: each key at least once, and no other.
 * 3. What does not was done once where its action succeeded, at most once where it ended as `outcome_unknown`,
 *    and never otherwise ended for good.
 * 4. The log keeps its invariants (`sim/invariants.ts`, `sim/executions.ts`), also folded again.
 */
import { canonicalJson } from "../../src/base/canonical-json.ts";
import { isJsonObject, type Json } from "../../src/base/json.ts";
import { judgeExecutions, judgeHistories } from "../../sim/executions.ts";
import { judge, type Violation } from "../../sim/invariants.ts";
import type { PlaybookStorm } from "./playbook-storm.ts";

export function auditPlaybooks(storm: PlaybookStorm, calm: PlaybookStorm): readonly Violation[] {
  const violations: Violation[] = [
    ...judge(storm.records, storm.rows).violations,
    ...judgeExecutions(storm.records, storm.executions),
    ...judgeHistories(storm.records),
  ];
  const broken = (invariant: string, message: string): void => {
    violations.push({ invariant, message });
  };
  const expected = endsOf(calm);
  const ends = endsOf(storm);
  for (const [id, end] of expected) {
    const found = ends.get(id);
    if (found !== end) broken("end", `${id} ended as ${String(found)}, without kills as ${end}`);
  }
  if (ends.size !== expected.size) {
    broken("end", `${String(ends.size)} executions, without kills ${String(expected.size)}`);
  }
  const counts = countsOf(storm.effects);
  const wanted = new Set(calm.effects);
  for (const key of counts.keys()) {
    if (!wanted.has(key)) broken("I3", `${key} was done and is not to be done`);
  }
  const lives = livesOf(storm);
  for (const key of wanted) {
    const count = counts.get(key) ?? 0;
    if (key.startsWith("again/")) {
      if (count === 0) broken("I3", `${key} was never done`);
      continue;
    }
    const life = lives.get(key) ?? [];
    const told = `${key} was done ${String(count)} times and ended as ${life.join(", ")}`;
    if (count > 1) broken("I3", told);
    if (life.at(-1) === "succeeded" ? count !== 1 : life.at(-1) !== "outcome_unknown") {
      broken("I3", told);
    }
  }
  return violations;
}

/** How many attempts a kill left with an unknown outcome. */
export function unknownOf({ records }: PlaybookStorm): number {
  return records.filter(({ event }) => kindOf(event.attrs["error"]) === "outcome_unknown").length;
}

function endsOf({ executions, records }: PlaybookStorm): ReadonlyMap<string, string> {
  const byOffset = new Map(records.map((record) => [record.offset, record]));
  return new Map(
    executions.map((row) => {
      const end = byOffset.get(row.terminalOffset ?? 0);
      const { result = null } = end?.event.attrs ?? {};
      const { status, failedSteps = [], playbook } = row;
      return [row.executionId, canonicalJson({ playbook, status, failedSteps, result })];
    }),
  );
}

/** How the actions of each key ended, in order. */
function livesOf({ records }: PlaybookStorm): ReadonlyMap<string, readonly string[]> {
  const keys = new Map<string, string>();
  const lives = new Map<string, string[]>();
  for (const { event } of records) {
    const { action_id: action, event_type: type, attrs, tags } = event;
    if (action === undefined || tags["anomaly"] !== undefined) continue;
    if (type === "action.requested") {
      const input = isJsonObject(attrs["args"] ?? null)
        ? (attrs["args"] as { input?: Json }).input
        : null;
      const key = input !== undefined && isJsonObject(input) ? input["key"] : undefined;
      if (typeof key === "string") keys.set(action, key);
    }
    const key = keys.get(action);
    if (key === undefined || !/^action\.(succeeded|failed|cancelled)$/.test(type)) continue;
    const end = type === "action.failed" ? kindOf(attrs["error"]) : type.slice("action.".length);
    lives.set(key, [...(lives.get(key) ?? []), end]);
  }
  return lives;
}

function kindOf(error: Json | undefined): string {
  const kind = error !== undefined && isJsonObject(error) ? error["kind"] : undefined;
  return typeof kind === "string" ? kind : "";
}

function countsOf(keys: readonly string[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const key of keys) counts.set(key, (counts.get(key) ?? 0) + 1);
  return counts;
}
