/**
 * Admission against an oracle that knows no queue and no window: at each call it looks at every action
 * and every start that ever was. Histories are random, and the admission is rebuilt in the middle of them.
 */
import fc from "fast-check";
import { expect, test } from "vitest";
import { timestamp } from "../base/clock.ts";
import { seededRandom } from "../base/random.ts";
import { createAdmission, type Deferral, type RateWindow } from "./admission.ts";
import { createStory, happened, leaseAttrs, requested, startMs, type Story } from "./given.ts";
import { isTerminal, type ActionState } from "./lifecycle.ts";
import { priorities, type Priority, type RequestAttrs } from "./request.ts";

const capacities: { readonly [command: string]: number } = { "job.a": 2, "job.b": 3 };

const perSec: { readonly [key: string]: number } = { mail: 1, page: 5 };

type Ask = {
  readonly attrs: Partial<RequestAttrs>;
  readonly priority: Priority;
  readonly tenant: string;
};

type Step =
  | { readonly kind: "ask"; readonly ask: Ask }
  | {
      readonly kind: "end" | "retry" | "ready" | "cancel" | "hold" | "lift";
      readonly which: number;
    }
  | { readonly kind: "wait"; readonly ms: number }
  | { readonly kind: "restart" };

const limit = fc.integer({ min: 1, max: 3 });

const concurrency = fc.record({ key: fc.constantFrom("disk", "net"), limit });

const rate = fc
  .record({ key: fc.constantFrom("mail", "page"), limit })
  .map((asked) => ({ ...asked, per_sec: perSec[asked.key] ?? 1 }));

const ask: fc.Arbitrary<Ask> = fc.record({
  attrs: fc.record(
    {
      command: fc.constantFrom("job.a", "job.a", "job.b", "job.b", "job.none"),
      concurrency,
      rate,
      ttl_sec: fc.constantFrom(1, 4),
    },
    { requiredKeys: ["command"] },
  ),
  priority: fc.constantFrom(...priorities),
  tenant: fc.constantFrom("default", "default", "acme"),
});

const which = fc.nat({ max: 50 });

const steps: fc.Arbitrary<readonly Step[]> = fc.array(
  fc.oneof(
    { arbitrary: fc.record({ kind: fc.constant("ask" as const), ask }), weight: 6 },
    { arbitrary: fc.record({ kind: fc.constant("end" as const), which }), weight: 4 },
    {
      arbitrary: fc.record({
        kind: fc.constantFrom(
          "retry" as const,
          "ready" as const,
          "cancel" as const,
          "hold" as const,
          "lift" as const,
        ),
        which,
      }),
      weight: 3,
    },
    {
      arbitrary: fc.record({
        kind: fc.constant("wait" as const),
        ms: fc.constantFrom(0, 1, 250, 1_000, 4_000),
      }),
      weight: 3,
    },
    { arbitrary: fc.constant({ kind: "restart" as const }), weight: 1 },
  ),
  { maxLength: 60, size: "max" },
);

/** All that ever happened, and the admission that has to choose from it. */
function createWorld(): {
  readonly take: (step: Step) => void;
  readonly settle: (admitMax: number) => void;
} {
  let admission = createAdmission();
  let nowMs = startMs;
  const stories: Story[] = [];
  const states: ActionState[] = [];
  const starts: { readonly key: string; readonly atMs: number }[] = [];
  /** As the kernel keeps them with each commit. */
  const windows = new Map<string, RateWindow>();

  const tell = (index: number, event: Parameters<Story["tell"]>[0]): void => {
    const before = states[index];
    const story = (stories[index] ??= createStory());
    const folded = story.tell(event, nowMs).state();
    if (folded === undefined) throw new Error("An action that was never requested");
    const after = { ...folded, requestOffset: index + 1 };
    states[index] = after;
    admission.moved(before, after, nowMs);
    if (before !== undefined && before.phase !== "started" && after.phase === "started") {
      const key = rateKey(after);
      if (key !== undefined) starts.push({ key, atMs: nowMs });
    }
  };

  const pick = (number: number, fits: (state: ActionState) => boolean): number => {
    const fitting = states.flatMap((state, index) => (fits(state) ? [index] : []));
    return fitting[number % fitting.length] ?? -1;
  };

  const on = (index: number, type: string, attrs: Parameters<typeof happened>[2] = {}): void => {
    const state = states[index];
    if (state === undefined) return;
    const attempt = type === "action.retrying" ? state.attempt + 1 : state.attempt;
    tell(index, happened(type, attempt, attrs));
  };

  const restart = (): void => {
    admission = createAdmission();
    for (const window of windows.values()) admission.restoreRate(window);
    for (const state of states) if (!isTerminal(state)) admission.moved(undefined, state, 0);
  };

  const oracle = { states, starts, now: () => nowMs };

  return {
    take: (step) => {
      switch (step.kind) {
        case "ask": {
          const { attrs, priority, tenant } = step.ask;
          const idempotencyKey = `k${String(states.length)}`;
          const more = { idempotencyKey, priority, tenant, ts: timestamp(nowMs) };
          tell(states.length, requested(attrs, more));
          break;
        }
        case "end":
          on(pick(step.which, runs), "action.succeeded");
          break;
        case "retry":
          on(pick(step.which, runs), "action.retrying", { retry_at: timestamp(nowMs), error: {} });
          break;
        case "ready": {
          const index = pick(step.which, (state) => state.phase === "retrying" && !state.ready);
          const state = states[index];
          if (state?.phase !== "retrying") return;
          on(index, "timer.fired", { name: "retry", due_ms: state.retryAtMs });
          break;
        }
        case "cancel":
          on(pick(step.which, waits), "action.cancel_requested");
          break;
        case "hold":
          on(pick(step.which, waits), "action.deferred", { reason: "approval" });
          break;
        case "lift":
          on(
            pick(step.which, ({ deferred }) => deferred?.reason === "approval"),
            "action.deferred",
            { reason: "limit" },
          );
          break;
        case "wait":
          nowMs += step.ms;
          break;
        case "restart":
          restart();
          break;
      }
    },
    settle: (admitMax) => {
      for (;;) {
        const chosen = admission.select(nowMs, (command) => capacities[command], admitMax);
        const expected = choose(oracle, admitMax);
        expect(chosen.admit.map(idOf)).toEqual(expected.map(idOf));
        for (const deferral of chosen.defer) expectTrue(deferral, oracle, expected);
        const { admit, defer, expired } = chosen;
        if (admit.length + defer.length + expired.length === 0) {
          expectWake(chosen.wakeAtMs, oracle);
          expectTold(oracle);
          return;
        }
        for (const state of admit) {
          const index = state.requestOffset - 1;
          const lease = leaseAttrs("w1", nowMs + 30_000);
          if (state.phase === "requested") on(index, "action.accepted", lease);
          on(index, "action.started", lease);
        }
        for (const { state, reason, limitKey } of defer) {
          const index = state.requestOffset - 1;
          on(index, "action.deferred", { reason, limit_key: limitKey });
        }
        for (const state of expired) {
          const due = { name: "ttl", due_ms: state.expiresAtMs ?? 0 };
          on(state.requestOffset - 1, "timer.fired", due);
        }
        for (const window of admission.takeRateChanges()) windows.set(window.key, window);
      }
    },
  };
}

type Facts = {
  readonly states: readonly ActionState[];
  readonly starts: readonly { readonly key: string; readonly atMs: number }[];
  readonly now: () => number;
};

/** Greedy over all that wait, in their order: who has room under every limit is taken. */
function choose(facts: Facts, admitMax: number, atMs = facts.now()): readonly ActionState[] {
  const taken: ActionState[] = [];
  const offered = facts.states.filter((state) => isOffered(state, atMs));
  offered.sort((left, right) => urgency(left) - urgency(right));
  for (const state of offered) {
    if (taken.length === admitMax) break;
    if (fullLimits(state, { facts, taken, atMs }).length === 0) taken.push(state);
  }
  return taken;
}

/** The limits of an action that have no room, as a deferral names them. */
function fullLimits(
  state: ActionState,
  given: { readonly facts: Facts; readonly taken: readonly ActionState[]; readonly atMs: number },
): readonly string[] {
  const { facts, taken, atMs } = given;
  const { command, concurrency, rate } = state.attrs;
  const holders = facts.states.filter(runs).concat(taken);
  const ofCommand = holders.filter(({ attrs }) => attrs.command === command);
  const full: string[] = [];
  if (ofCommand.length >= (capacities[command] ?? 0)) full.push(`executor:${command}`);
  if (concurrency !== undefined) {
    const ofKey = holders.filter((holder) => slotKey(holder) === slotKey(state));
    if (ofKey.length >= concurrency.limit) full.push(`concurrency:${concurrency.key}`);
  }
  if (rate !== undefined) {
    const key = rateKey(state);
    const fromMs = atMs - rate.per_sec * 1_000;
    const recent = facts.starts.filter((start) => start.key === key && start.atMs > fromMs);
    const coming = taken.filter((other) => rateKey(other) === key);
    if (recent.length + coming.length >= rate.limit) full.push(`rate:${rate.key}`);
  }
  return full;
}

/** What the deferrals of all histories named. */
const told = new Set<string>();

/** What a deferral names has no room; nobody is told the same again. */
function expectTrue(deferral: Deferral, facts: Facts, taken: readonly ActionState[]): void {
  const { state, reason, limitKey } = deferral;
  expect(fullLimits(state, { facts, taken, atMs: facts.now() })).toContain(limitKey);
  told.add(limitKey);
  expect(reason).toBe(limitKey === "executor:job.none" ? "no_executor" : "limit");
  expect(state.deferred).not.toEqual({ reason, limitKey });
}

/** Whoever waits was told why, and the first of each line what is so now. */
function expectTold(facts: Facts): void {
  const lines = new Set<string>();
  const waiting = facts.states.filter((state) => isOffered(state, -Infinity));
  for (const state of waiting.sort((left, right) => urgency(left) - urgency(right))) {
    const { command, concurrency, rate } = state.attrs;
    const line = JSON.stringify([command, concurrency, rate, state.identity.tags["tenant"]]);
    const first = !lines.has(line);
    lines.add(line);
    // Its timer is due and ends it.
    if (!isOffered(state, facts.now())) continue;
    expect(state.deferred).toBeDefined();
    const full = fullLimits(state, { facts, taken: [], atMs: facts.now() });
    if (first) expect(full).toContain(state.deferred?.limitKey);
  }
}

/** If time alone lets somebody start, the call for that time, or an earlier one, was asked for. */
function expectWake(wakeAtMs: number | undefined, facts: Facts): void {
  const opens = facts.starts
    .flatMap(({ atMs }) => Object.values(perSec).map((sec) => atMs + sec * 1_000))
    .filter((atMs) => atMs > facts.now())
    .sort((left, right) => left - right)
    .find((atMs) => choose(facts, 1, atMs).length > 0);
  if (opens !== undefined) told.add("wake");
  if (opens !== undefined) expect(wakeAtMs).toBeLessThanOrEqual(opens);
  if (wakeAtMs !== undefined) expect(wakeAtMs).toBeGreaterThan(facts.now());
}

function isOffered(state: ActionState, atMs: number): boolean {
  if (state.cancelRequested || state.deferred?.reason === "approval") return false;
  if (state.expiresAtMs !== undefined && state.expiresAtMs <= atMs) return false;
  return state.phase === "requested" || (state.phase === "retrying" && state.ready);
}

function runs(state: ActionState): boolean {
  return state.phase === "accepted" || state.phase === "started";
}

function waits(state: ActionState): boolean {
  return state.phase === "requested" || state.phase === "retrying";
}

function urgency({ identity, requestOffset }: ActionState): number {
  const rank = priorities.findIndex((priority) => priority === identity.tags["priority"]);
  return rank * 1_000_000 + requestOffset;
}

function slotKey({ attrs, identity }: ActionState): string | undefined {
  return attrs.concurrency && `${String(identity.tags["tenant"])}/${attrs.concurrency.key}`;
}

function rateKey({ attrs, identity }: ActionState): string | undefined {
  return attrs.rate && `${String(identity.tags["tenant"])}/${attrs.rate.key}`;
}

function idOf(state: ActionState): string {
  return state.identity.action_id;
}

test("1. 2. 3. 5. 6. chooses what the oracle chooses, says what is true, and wakes in time", () => {
  fc.assert(
    fc.property(steps, fc.integer({ min: 1, max: 4 }), fc.integer(), (history, admitMax, seed) => {
      const world = createWorld();
      const random = seededRandom(String(seed));
      for (const step of history) {
        world.take(step);
        if (random() < 0.6) world.settle(admitMax);
      }
    }),
    { numRuns: 300 },
  );
  // The histories were worth it: each limit refused somebody, and somebody waited for time alone.
  expect([...told].sort()).toEqual([
    "concurrency:disk",
    "concurrency:net",
    "executor:job.a",
    "executor:job.b",
    "executor:job.none",
    "rate:mail",
    "rate:page",
    "wake",
  ]);
});

test("5. the same open actions give the same choice, in whatever order they are told", () => {
  fc.assert(
    fc.property(fc.array(ask, { maxLength: 30 }), fc.infiniteStream(fc.nat()), (asks, order) => {
      const states = asks.flatMap(({ attrs, priority, tenant }, index) => {
        const event = requested(attrs, { idempotencyKey: `k${String(index)}`, priority, tenant });
        const state = createStory().tell(event).state();
        return state === undefined ? [] : [{ ...state, requestOffset: index + 1 }];
      });
      const chosenFrom = (asked: readonly ActionState[]): readonly string[] => {
        const admission = createAdmission();
        for (const state of asked) admission.moved(undefined, state, startMs);
        const { admit, defer } = admission.select(startMs, (command) => capacities[command], 99);
        const said = defer.map(({ state, limitKey }) => `${idOf(state)} ${limitKey}`);
        return [...admit.map(idOf), ...said.sort()];
      };
      const keyed = states.map((state) => ({ state, at: Number(order.next().value) }));
      keyed.sort((left, right) => left.at - right.at);
      expect(chosenFrom(keyed.map(({ state }) => state))).toEqual(chosenFrom(states));
    }),
  );
});
