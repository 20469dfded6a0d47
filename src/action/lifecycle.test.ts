import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { timestamp } from "../base/clock.ts";
import { deedError, errorKinds, type ErrorKind } from "../event/error.ts";
import type { NewEvent } from "../event/envelope.ts";
import {
  fitting,
  happened,
  leaseAttrs,
  letter,
  lifecycleTypes,
  recordOf,
  requested,
  retryAttrs,
  startMs,
  timer,
} from "./given.ts";
import { dueOf, evolve, type ActionState } from "./lifecycle.ts";

const ttlSec = 3_600;
const expiresMs = startMs + ttlSec * 1_000;

/** Every state that the table knows, by the events that lead to it. */
const ways: { readonly [name: string]: readonly NewEvent[] } = (() => {
  const asked = [requested({ ttl_sec: ttlSec })];
  const accepted = [...asked, happened("action.accepted", 1, leaseAttrs())];
  const started = [...accepted, happened("action.started", 1, leaseAttrs())];
  const retrying = [...started, happened("action.retrying", 2, retryAttrs())];
  const ready = [...retrying, timer("retry", startMs + 5_000)];
  const failed = [
    ...started,
    happened("action.failed", 1, { error: deedError("timeout", "slow") }),
  ];
  const pending = [...failed, happened("action.dead_lettered", 1, letter)];
  return {
    none: [],
    requested: asked,
    accepted,
    started,
    retrying,
    "retrying, ready": ready,
    succeeded: [...started, happened("action.succeeded", 1, { result: 7 })],
    failed,
    "failed, pending": pending,
    "failed, redriven": [...pending, happened("action.redriven", 1, { new_action_id: "act_0" })],
    "failed, discarded": [
      ...pending,
      happened("action.discarded", 1, { by: "ann", reason: "old" }),
    ],
    cancelled: [...started, happened("action.cancelled", 1, {})],
  };
})();

function foldAll(events: readonly NewEvent[], from?: ActionState): ActionState | undefined {
  let state = from;
  events.forEach((event, index) => {
    const moved = evolve(state, recordOf(event, index + 1));
    if (moved.ok) state = moved.value;
  });
  return state;
}

/** A state's name in the table. */
function nameOf(state: ActionState | undefined): string {
  if (state === undefined) return "none";
  if (state.phase === "retrying" && state.ready) return "retrying, ready";
  if (state.phase === "failed" && state.deadLetter !== undefined) {
    return `failed, ${state.deadLetter}`;
  }
  return state.phase;
}

function outcomeOf(state: ActionState | undefined, event: NewEvent, atMs = startMs): string {
  const moved = evolve(state, recordOf(event, 50, atMs));
  return moved.ok ? nameOf(moved.value) : `! ${moved.error.kind}`;
}

function stateIn(name: string): ActionState | undefined {
  return foldAll(ways[name] ?? []);
}

// "! kind" is a refusal.
const order = "! out_of_order";
const over = "! terminal";
const never = "! unknown_action";

/**
 * The contract's table in full: what a state (column) becomes by an event (row) that fits it. Written
 * from the contract, not from the code; docs/reference/lifecycle.md shows the same table.
 * ✗ order: out_of_order. ✗ ended: terminal. ✗ unknown: unknown_action.
 */
const table = `
|                         | none      | requested | accepted  | started   | retrying        | retrying, ready | succeeded | failed          | failed, pending   | failed, redriven | failed, discarded | cancelled |
| ----------------------- | --------- | --------- | --------- | --------- | --------------- | --------------- | --------- | --------------- | ----------------- | ---------------- | ----------------- | --------- |
| action.requested        | requested | ✗ order   | ✗ order   | ✗ order   | ✗ order         | ✗ order         | ✗ ended   | ✗ ended         | ✗ ended           | ✗ ended          | ✗ ended           | ✗ ended   |
| action.cancel_requested | ✗ unknown | requested | accepted  | started   | retrying        | retrying, ready | ✗ ended   | ✗ ended         | ✗ ended           | ✗ ended          | ✗ ended           | ✗ ended   |
| action.accepted         | ✗ unknown | accepted  | ✗ order   | ✗ order   | ✗ order         | ✗ order         | ✗ ended   | ✗ ended         | ✗ ended           | ✗ ended          | ✗ ended           | ✗ ended   |
| action.deferred         | ✗ unknown | requested | ✗ order   | ✗ order   | retrying        | retrying, ready | ✗ ended   | ✗ ended         | ✗ ended           | ✗ ended          | ✗ ended           | ✗ ended   |
| action.started          | ✗ unknown | ✗ order   | started   | ✗ order   | started         | started         | ✗ ended   | ✗ ended         | ✗ ended           | ✗ ended          | ✗ ended           | ✗ ended   |
| action.progress         | ✗ unknown | ✗ order   | ✗ order   | started   | ✗ order         | ✗ order         | ✗ ended   | ✗ ended         | ✗ ended           | ✗ ended          | ✗ ended           | ✗ ended   |
| action.retrying         | ✗ unknown | ✗ order   | retrying  | retrying  | ✗ order         | ✗ order         | ✗ ended   | ✗ ended         | ✗ ended           | ✗ ended          | ✗ ended           | ✗ ended   |
| action.succeeded        | ✗ unknown | ✗ order   | succeeded | succeeded | succeeded       | succeeded       | ✗ ended   | ✗ ended         | ✗ ended           | ✗ ended          | ✗ ended           | ✗ ended   |
| action.failed           | ✗ unknown | failed    | failed    | failed    | failed          | failed          | ✗ ended   | ✗ ended         | ✗ ended           | ✗ ended          | ✗ ended           | ✗ ended   |
| action.cancelled        | ✗ unknown | cancelled | cancelled | cancelled | cancelled       | cancelled       | ✗ ended   | ✗ ended         | ✗ ended           | ✗ ended          | ✗ ended           | ✗ ended   |
| action.dead_lettered    | ✗ unknown | ✗ order   | ✗ order   | ✗ order   | ✗ order         | ✗ order         | ✗ ended   | failed, pending | ✗ ended           | ✗ ended          | ✗ ended           | ✗ ended   |
| action.redriven         | ✗ unknown | ✗ order   | ✗ order   | ✗ order   | ✗ order         | ✗ order         | ✗ ended   | ✗ ended         | failed, redriven  | ✗ ended          | ✗ ended           | ✗ ended   |
| action.discarded        | ✗ unknown | ✗ order   | ✗ order   | ✗ order   | ✗ order         | ✗ order         | ✗ ended   | ✗ ended         | failed, discarded | ✗ ended          | ✗ ended           | ✗ ended   |
| timer.fired             | ✗ unknown | requested | accepted  | started   | retrying, ready | retrying, ready | ✗ ended   | ✗ ended         | ✗ ended           | ✗ ended          | ✗ ended           | ✗ ended   |
`;

const refusals: { readonly [sign: string]: string } = {
  "✗ order": order,
  "✗ ended": over,
  "✗ unknown": never,
};

const [columns = [], , ...rows] = table
  .trim()
  .split("\n")
  .map((line) =>
    line
      .split("|")
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );

describe("the truth table", () => {
  test("has a column for every state, a row for every event type, and no hole", () => {
    expect(columns).toEqual(["", ...Object.keys(ways)]);
    expect(rows.map(([type]) => type).sort()).toEqual([...lifecycleTypes].sort());
    const known = new Set([...Object.keys(ways), ...Object.keys(refusals)]);
    for (const [type, ...cells] of rows) {
      expect([type, cells.length]).toEqual([type, columns.length - 1]);
      expect(cells.filter((cell) => !known.has(cell))).toEqual([]);
    }
  });

  test("stands in the reference page, word for word", () => {
    const page = readFileSync(
      new URL("../../docs/reference/lifecycle.md", import.meta.url),
      "utf8",
    );
    for (const line of table.trim().split("\n")) expect(page).toContain(line);
  });

  test.each(Object.keys(ways))("the events of %s lead to it", (name) => {
    expect(nameOf(stateIn(name))).toBe(name);
  });

  const cells = rows.flatMap(([type = "", ...row]) =>
    row.map((cell, index) => ({ name: columns[index + 1] ?? "", type, cell })),
  );
  test.each(cells)("$name + $type → $cell", ({ name, type, cell }) => {
    const state = stateIn(name);
    expect(outcomeOf(state, fitting(type, state))).toBe(refusals[cell] ?? cell);
  });
});

describe("2. the attempt number is the fence", () => {
  const stale = "! superseded";
  // Phase, its attempt, and what may still be reported in it.
  const cases = [
    ["requested", 1, ["action.accepted", "action.failed", "action.cancelled"]],
    [
      "accepted",
      1,
      [
        "action.started",
        "action.retrying",
        "action.succeeded",
        "action.failed",
        "action.cancelled",
      ],
    ],
    [
      "started",
      1,
      [
        "action.progress",
        "action.retrying",
        "action.succeeded",
        "action.failed",
        "action.cancelled",
      ],
    ],
    ["retrying", 2, ["action.started", "action.succeeded", "action.failed", "action.cancelled"]],
    [
      "retrying, ready",
      2,
      ["action.started", "action.succeeded", "action.failed", "action.cancelled"],
    ],
  ] as const;
  for (const [name, attempt, types] of cases) {
    for (const type of types) {
      test(`${name}: ${type} of another attempt is superseded`, () => {
        const state = stateIn(name);
        expect(state?.attempt).toBe(attempt);
        const good = fitting(type, state);
        for (const delta of [-1, 1, 2]) {
          const other = { ...good, attempt: (good.attempt ?? 0) + delta };
          expect(outcomeOf(state, other)).toBe(stale);
        }
        expect(outcomeOf(state, happened(type, undefined, good.attrs))).toBe(stale);
      });
    }
  }

  test("a late success of an attempt that was taken away changes nothing", () => {
    const state = foldAll([...(ways["retrying"] ?? []), happened("action.succeeded", 1, {})]);
    expect(nameOf(state)).toBe("retrying");
  });

  test("only the worker that accepted an attempt may start it", () => {
    const event = happened("action.started", 1, leaseAttrs("w2"));
    expect(outcomeOf(stateIn("accepted"), event)).toBe(stale);
  });
});

describe("3. nothing is accepted or started too late", () => {
  test.each([
    ["requested", "action.accepted", 1],
    ["accepted", "action.started", 1],
    ["retrying", "action.started", 2],
  ])("%s + %s after the ttl or the cancel", (name, type, attempt) => {
    const state = stateIn(name);
    const event = happened(type, attempt, leaseAttrs());
    expect(outcomeOf(state, event, expiresMs - 1)).toBe(type.slice("action.".length));
    expect(outcomeOf(state, event, expiresMs)).toBe("! expired");
    const asked = happened("action.cancel_requested", attempt, {});
    expect(outcomeOf(foldAll([asked], state), event)).toBe("! cancel_requested");
  });
});

describe("a request that nobody has taken fails for three reasons only", () => {
  const allowed: readonly ErrorKind[] = ["ttl_expired", "rejected", "unprocessable"];
  test.each(errorKinds)("%s", (kind) => {
    const event = happened("action.failed", 1, { error: deedError(kind, "no") });
    expect(outcomeOf(stateIn("requested"), event)).toBe(allowed.includes(kind) ? "failed" : order);
    expect(outcomeOf(stateIn("started"), event)).toBe("failed");
  });
});

describe("what a record carries", () => {
  test.each(["limit", "no_executor", "approval", "window", "paused"])(
    "a deferral may name %s as its reason",
    (reason) => {
      const event = happened("action.deferred", 1, { reason, limit_key: "k" });
      expect(foldAll([...(ways["requested"] ?? []), event])?.deferred).toEqual({
        reason,
        limitKey: "k",
      });
    },
  );

  test.each([
    ["requested", "action.deferred", { reason: "weather" }],
    ["requested", "action.deferred", {}],
    ["requested", "action.accepted", {}],
    ["requested", "action.accepted", { worker_id: "w1", lease_until: "soon" }],
    ["accepted", "action.started", { worker_id: 7, lease_until: timestamp(startMs) }],
    ["started", "action.retrying", { retry_at: "later" }],
  ])("%s + %s with %j is malformed", (name, type, attrs) => {
    const state = stateIn(name);
    const { attempt } = fitting(type, state);
    expect(outcomeOf(state, happened(type, attempt, attrs))).toBe("! malformed");
  });

  test("a timer that the state does not wait for is stale", () => {
    const stale = [
      ["requested", timer("ttl", expiresMs + 1)],
      ["requested", timer("lease", expiresMs)],
      ["accepted", timer("lease", startMs)],
      ["started", timer("ttl", expiresMs)],
      ["retrying", timer("retry", startMs + 4_999)],
      ["retrying, ready", timer("retry", startMs + 5_000)],
      ["started", timer({}, [])],
    ] as const;
    for (const [name, event] of stale) {
      expect(outcomeOf(stateIn(name), event)).toBe("! stale_timer");
    }
  });

  test("a heartbeat extends the lease and never shortens it", () => {
    const state = stateIn("started");
    const beat = (leaseUntilMs: number): NewEvent =>
      happened("action.progress", 1, { lease_until: timestamp(leaseUntilMs) });
    const longer = foldAll([beat(startMs + 60_000)], state);
    expect(longer).toMatchObject({ phase: "started", leaseUntilMs: startMs + 60_000 });
    expect(foldAll([beat(startMs + 10_000)], longer)).toMatchObject({
      leaseUntilMs: startMs + 60_000,
    });
  });

  test("the first times and the request are kept to the end", () => {
    const later = { ts: timestamp(startMs + 9_000) };
    const again = { ...happened("action.started", 2, leaseAttrs("w2")), ...later };
    const done = { ...happened("action.succeeded", 2, {}), ts: timestamp(startMs + 10_000) };
    expect(foldAll([...(ways["retrying, ready"] ?? []), again, done])).toMatchObject({
      phase: "succeeded",
      attempt: 2,
      requestedAtMs: startMs,
      acceptedAtMs: startMs,
      startedAtMs: startMs,
      endedAtMs: startMs + 10_000,
      expiresAtMs: expiresMs,
      attrs: { command: "job.run", args: {}, ttl_sec: ttlSec },
    });
  });

  test("a request whose ts is no time cannot be processed, and has a time all the same", () => {
    const state = foldAll([{ ...requested(), ts: "yesterday" }]);
    expect(state).toMatchObject({
      phase: "requested",
      problem: "Cannot process the request as its ts is no time",
      requestedAtMs: startMs,
    });
  });
});

describe("4. an open action waits for", () => {
  test.each([
    ["requested", { name: "ttl", dueMs: expiresMs }],
    ["accepted", { name: "lease", dueMs: startMs + 30_000 }],
    ["started", { name: "lease", dueMs: startMs + 30_000 }],
    ["retrying", { name: "retry", dueMs: startMs + 5_000 }],
    ["retrying, ready", { name: "ttl", dueMs: expiresMs }],
    ["succeeded", undefined],
    ["failed", undefined],
    ["failed, pending", undefined],
    ["cancelled", undefined],
  ])("%s: %j", (name, due) => {
    const state = stateIn(name);
    expect(state && dueOf(state)).toEqual(due);
  });

  test("the ttl, where it comes before the lease of what is not started, or before the retry", () => {
    const asked = requested({ ttl_sec: 5 });
    const accepted = [asked, happened("action.accepted", 1, leaseAttrs())];
    const retrying = [...accepted, happened("action.retrying", 2, retryAttrs(startMs + 5_000))];
    const ttl = { name: "ttl", dueMs: startMs + 5_000 };
    for (const events of [accepted, retrying]) {
      const state = foldAll(events);
      expect(state && dueOf(state)).toEqual(ttl);
    }
  });

  test("nothing, where a request without a ttl waits for room", () => {
    const state = foldAll([requested()]);
    expect(state && dueOf(state)).toBeUndefined();
  });
});
