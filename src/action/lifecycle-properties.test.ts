import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { timestamp } from "../base/clock.ts";
import type { Json, JsonObject } from "../base/json.ts";
import { deedError } from "../event/error.ts";
import type { NewEvent } from "../event/envelope.ts";
import { decide } from "./decide.ts";
import {
  createStory,
  fitting,
  happened,
  leaseAttrs,
  lifecycleTypes,
  recordOf,
  requested,
  retryAttrs,
  startMs,
  timer,
  type Story,
} from "./given.ts";
import { dueOf, evolve, isTerminal, type ActionState } from "./lifecycle.ts";

/** One step of a random history, relative to the state in which it arrives. */
type Move = {
  readonly type: string;
  readonly attemptDelta: number | undefined;
  readonly attrs: JsonObject | undefined;
  readonly ts: string | undefined;
  readonly aheadMs: number;
};

const anyJson = fc.jsonValue({ maxDepth: 2 }) as fc.Arbitrary<Json>;

const anyAttrs: fc.Arbitrary<JsonObject> = fc.oneof(
  fc.dictionary(fc.string(), anyJson, { maxKeys: 3 }),
  fc.record(
    {
      worker_id: anyJson,
      lease_until: anyJson,
      retry_at: anyJson,
      error: fc.oneof(anyJson, fc.record({ kind: anyJson, message: anyJson, detail: anyJson })),
      reason: anyJson,
      name: anyJson,
      due_ms: anyJson,
    },
    { requiredKeys: [] },
  ),
);

const moves: fc.Arbitrary<readonly Move[]> = fc.array(
  fc.record({
    type: fc.oneof(
      { arbitrary: fc.constantFrom(...lifecycleTypes), weight: 9 },
      { arbitrary: fc.constantFrom("worker.lost", "action.unheard_of", "job.failed"), weight: 1 },
    ),
    attemptDelta: fc.oneof(
      { arbitrary: fc.constant(0), weight: 6 },
      { arbitrary: fc.constantFrom(-1, 1, 2, undefined), weight: 1 },
    ),
    attrs: fc.oneof(
      { arbitrary: fc.constant(undefined), weight: 4 },
      { arbitrary: anyAttrs, weight: 1 },
    ),
    ts: fc.oneof(
      { arbitrary: fc.constant(undefined), weight: 4 },
      { arbitrary: fc.string(), weight: 1 },
    ),
    aheadMs: fc.constantFrom(0, 0, 0, 10_000, 5_000_000),
  }),
  { maxLength: 40 },
);

const requests = fc.oneof(
  { arbitrary: fc.constantFrom({}, { ttl_sec: 3_600 }, { retry: { attempts: 5 } }), weight: 3 },
  {
    arbitrary: fc.record(
      {
        command: anyJson,
        args: anyJson,
        ttl_sec: anyJson,
        timeout_sec: anyJson,
        retry: anyJson,
        concurrency: anyJson,
        rate: anyJson,
        compensate: anyJson,
      },
      { requiredKeys: [] },
    ),
    weight: 1,
  },
);

/** Calls `see` with every move of a random history; returns the records that were told. */
function live(
  attrs: JsonObject,
  history: readonly Move[],
  see: (before: ActionState | undefined, after: ActionState | undefined, event: NewEvent) => void,
): readonly NewEvent[] {
  const base = requested();
  let state: ActionState | undefined;
  const told: NewEvent[] = [{ ...base, attrs: { ...base.attrs, ...attrs } }];
  for (const event of [...told, ...history.map((move) => () => eventOf(move, state))]) {
    const record = recordOf(typeof event === "function" ? event() : event, told.length);
    if (typeof event === "function") told.push(record.event);
    const moved = evolve(state, record);
    see(state, moved.ok ? moved.value : state, record.event);
    if (moved.ok) {
      state = moved.value;
      decide(state, record);
      dueOf(state);
    }
  }
  return told;
}

function eventOf(move: Move, state: ActionState | undefined): NewEvent {
  const { type, attemptDelta, attrs, ts, aheadMs } = move;
  const good = fitting(type, state);
  const attempt = attemptDelta === undefined ? undefined : (good.attempt ?? 1) + attemptDelta;
  return {
    ...happened(type, attempt, attrs ?? good.attrs),
    ts: ts ?? timestamp(startMs + aheadMs),
  };
}

describe("whatever arrives", () => {
  test("1. an ended action never moves again and has exactly one terminal", () => {
    fc.assert(
      fc.property(moves, (history) => {
        let terminals = 0;
        live({}, history, (before, after) => {
          if (before === undefined || after === undefined) return;
          if (!isTerminal(before)) {
            if (isTerminal(after)) terminals += 1;
            return;
          }
          const same = ["phase", "attempt", "endedAtMs", "terminalOffset", "error"] as const;
          for (const member of same) {
            expect(Object.entries(after).find(([name]) => name === member)).toEqual(
              Object.entries(before).find(([name]) => name === member),
            );
          }
        });
        expect(terminals).toBeLessThanOrEqual(1);
      }),
    );
  });

  test("2. attempts rise by one, by action.retrying only, and no other attempt is heard", () => {
    const reports = new Set([
      "action.accepted",
      "action.started",
      "action.progress",
      "action.succeeded",
      "action.failed",
      "action.cancelled",
    ]);
    fc.assert(
      fc.property(moves, (history) => {
        live({}, history, (before, after, event) => {
          if (before === undefined || after === undefined) return;
          const rise = after.attempt - before.attempt;
          if (event.event_type !== "action.retrying") expect(rise).toBe(0);
          else if (after !== before) expect(rise).toBe(1);
          if (reports.has(event.event_type) && event.attempt !== before.attempt) {
            expect(after).toBe(before);
          }
        });
      }),
    );
  });

  test("the fold of the whole is the fold of its parts, wherever it is cut and stored", () => {
    fc.assert(
      fc.property(moves, fc.nat({ max: 40 }), (history, at) => {
        const told = live({ ttl_sec: 3_600 }, history, () => undefined);
        const records = told.map((event, index) => recordOf(event, index + 1));
        const fold = (from: ActionState | undefined, part: typeof records): typeof from =>
          part.reduce((state, record) => {
            const moved = evolve(state, record);
            return moved.ok ? moved.value : state;
          }, from);
        const half = structuredClone(fold(undefined, records.slice(0, at)));
        expect(fold(half, records.slice(at))).toEqual(fold(undefined, records));
      }),
    );
  });

  test("5. nothing throws", () => {
    fc.assert(
      fc.property(requests, moves, (attrs, history) => {
        const asked = Object.fromEntries(Object.entries(attrs));
        expect(live(asked, history, () => undefined)).toHaveLength(history.length + 1);
      }),
      { numRuns: 300 },
    );
  });

  test("5. what has no action never becomes one", () => {
    fc.assert(
      fc.property(fc.string(), anyAttrs, (type, attrs) => {
        fc.pre(type !== "action.requested");
        expect(evolve(undefined, recordOf(happened(type, 1, attrs), 1))).toMatchObject({
          ok: false,
          error: { kind: "unknown_action" },
        });
      }),
    );
  });
});

describe("4. where everybody falls silent", () => {
  const terminals = new Set(["action.succeeded", "action.failed", "action.cancelled"]);
  const conflict = deedError("conflict", "no");
  const often = fc.constantFrom("accept", "start", "retry");
  const seldom = fc.constantFrom("beat", "fail", "cancel", "due", "lost");
  const step = fc.oneof({ arbitrary: often, weight: 3 }, { arbitrary: seldom, weight: 1 });

  test("the timers end every action, and what is left waits for room and has no ttl", () => {
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 16, size: "max" }),
        fc.boolean(),
        fc.option(fc.integer({ min: 1, max: 120 }), { nil: undefined }),
        (steps, idempotent, ttlSec) => {
          const ttl = ttlSec === undefined ? {} : { ttl_sec: ttlSec };
          const story = createStory().tell(
            requested({ ...ttl, compensate: { command: "job.undo", args: {} } }),
          );
          let nowMs = startMs;
          for (const one of steps) nowMs = act(story, one, { nowMs, idempotent });
          for (let rounds = 0; rounds < 10; rounds += 1) nowMs = act(story, "due", { nowMs });
          const state = story.state();
          if (state === undefined) throw new Error("The action was never requested");
          if (!isTerminal(state)) {
            expect(state.cancelRequested).toBe(false);
            expect(ttlSec).toBeUndefined();
            expect(["requested", "retrying"]).toContain(state.phase);
            expect(dueOf(state)).toBeUndefined();
          }
          const ends = story.folded.filter(({ event }) => terminals.has(event.event_type));
          expect(ends).toHaveLength(isTerminal(state) ? 1 : 0);
          expect(story.asked.length).toBeLessThanOrEqual(1);
        },
      ),
      { numRuns: 500 },
    );
  });

  function act(
    story: Story,
    step: string,
    { nowMs, idempotent = true }: { readonly nowMs: number; readonly idempotent?: boolean },
  ): number {
    const state = story.state();
    const attempt = state?.attempt;
    const lease = { ...leaseAttrs("w1", nowMs + 30_000), idempotent };
    switch (step) {
      case "accept":
        story.tell(happened("action.accepted", attempt, lease), nowMs);
        break;
      case "start":
        story.tell(happened("action.started", attempt, lease), nowMs);
        break;
      case "beat":
        story.tell(happened("action.progress", attempt, lease), nowMs);
        break;
      case "fail":
        story.tell(happened("action.failed", attempt, { error: conflict }), nowMs);
        break;
      case "retry":
        story.tell(happened("action.retrying", (attempt ?? 0) + 1, retryAttrs(nowMs)), nowMs);
        break;
      case "cancel":
        story.tell(happened("action.cancel_requested", attempt, {}), nowMs);
        break;
      case "lost":
        story.tell(happened("worker.lost", undefined, { worker_id: "w1" }), nowMs);
        break;
      default: {
        const due = state && dueOf(state);
        if (due === undefined) return nowMs;
        const atMs = Math.max(nowMs, due.dueMs);
        story.tell(timer(due.name, due.dueMs), atMs);
        return atMs;
      }
    }
    return nowMs + 1_000;
  }
});
