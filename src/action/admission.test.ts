import { describe, expect, test } from "vitest";
import { workerId } from "../event/ids.ts";
import { createAdmission, type Admission, type RateWindow } from "./admission.ts";
import { createStory, happened, leaseAttrs, requested, startMs, type Story } from "./given.ts";
import type { ActionState } from "./lifecycle.ts";
import type { Priority, RequestAttrs } from "./request.ts";

const one = (command: string): number | undefined => (command === "job.none" ? undefined : 1);
const many = (): number => 1_000;

/** A few actions before one admission, each move told as the kernel tells it. */
function createRoom(): {
  readonly admission: Admission;
  readonly ask: (key: string, attrs?: Partial<RequestAttrs>, priority?: Priority) => void;
  readonly tell: (key: string, type: string, attrs?: Parameters<typeof happened>[2]) => void;
  /** Selects and folds what was chosen, as often as there is something; returns keys and reasons. */
  readonly settle: (atMs?: number, capacity?: (command: string) => number | undefined) => string[];
  readonly state: (key: string) => ActionState;
} {
  const admission = createAdmission();
  const states = new Map<string, ActionState>();
  let offset = 0;
  const state = (key: string): ActionState => {
    const known = states.get(key);
    if (known === undefined) throw new Error(`No action ${key}`);
    return known;
  };
  const keep = (key: string, story: Story, atMs: number): void => {
    const after = story.state();
    if (after === undefined) throw new Error(`No action ${key}`);
    const before = states.get(key);
    const placed = { ...after, requestOffset: before?.requestOffset ?? (offset += 1) };
    states.set(key, placed);
    admission.moved(before, placed, atMs);
  };
  const stories = new Map<string, Story>();
  const tell = (key: string, event: Parameters<Story["tell"]>[0], atMs = startMs): void => {
    const story = stories.get(key) ?? createStory();
    stories.set(key, story);
    keep(key, story.tell(event, atMs), atMs);
  };
  const keyOf = (of: ActionState): string =>
    [...states].find(([, known]) => known === of)?.[0] ?? "?";
  return {
    admission,
    state,
    ask: (key, attrs, priority) =>
      tell(
        key,
        requested(attrs, {
          idempotencyKey: key,
          ...(priority === undefined ? {} : { priority }),
        }),
      ),
    tell: (key, type, attrs = {}) => tell(key, happened(type, state(key).attempt, attrs)),
    settle: (atMs = startMs, capacity = many) => {
      const said: string[] = [];
      for (;;) {
        const { admit, defer, expired } = admission.select(atMs, capacity, 512);
        if (admit.length + defer.length + expired.length === 0) return said;
        for (const chosen of admit) {
          const key = keyOf(chosen);
          said.push(key);
          if (chosen.phase === "requested") {
            tell(key, happened("action.accepted", chosen.attempt, leaseAttrs()), atMs);
          }
          tell(key, happened("action.started", chosen.attempt, leaseAttrs()), atMs);
        }
        for (const { state: waiting, reason, limitKey, holdersTotal } of defer) {
          const key = keyOf(waiting);
          said.push(`${key}: ${reason} ${limitKey} (${String(holdersTotal)})`);
          tell(key, happened("action.deferred", waiting.attempt, { reason, limit_key: limitKey }));
        }
        for (const late of expired) said.push(`${keyOf(late)}: expired`);
      }
    },
  };
}

const oneAtATime = { concurrency: { key: "disk", limit: 1 } };
const twoIn10s = { rate: { key: "mail", limit: 2, per_sec: 10 } };

describe("2. higher priority first, then the older request", () => {
  test("of those that wait for their command", () => {
    const room = createRoom();
    room.ask("low", {}, "low");
    room.ask("normal 1");
    room.ask("normal 2");
    room.ask("high", {}, "high");
    room.ask("critical", {}, "critical");
    expect(room.settle()).toEqual(["critical", "high", "normal 1", "normal 2", "low"]);
  });

  test("also between commands that share a key", () => {
    const room = createRoom();
    room.ask("first", { ...oneAtATime, command: "job.a" });
    room.ask("urgent", { ...oneAtATime, command: "job.b" }, "critical");
    expect(room.settle()).toEqual(["urgent", "first: limit concurrency:disk (1)"]);
  });

  test("a key without room holds up nobody else", () => {
    const room = createRoom();
    room.ask("a1", oneAtATime, "critical");
    room.ask("a2", oneAtATime, "critical");
    room.ask("b", {}, "low");
    expect(room.settle()).toEqual(["a1", "b", "a2: limit concurrency:disk (1)"]);
  });

  test("a full command holds up no other command that waits for the same key", () => {
    const room = createRoom();
    room.ask("busy", { command: "job.a" });
    room.ask("holder", { ...oneAtATime, command: "job.c" });
    room.settle(startMs, one);
    room.ask("first", { ...oneAtATime, command: "job.a" });
    room.ask("second", { ...oneAtATime, command: "job.b" });
    expect(room.settle(startMs, one)).toEqual([
      "first: limit executor:job.a (1)",
      "second: limit concurrency:disk (1)",
    ]);
    room.tell("holder", "action.succeeded");
    expect(room.settle(startMs, one)).toEqual(["second"]);
  });
});

describe("1. limits", () => {
  test("a key is the tenant's own", () => {
    const room = createRoom();
    room.ask("ours", { ...oneAtATime, ...twoIn10s });
    room.settle();
    const theirs = createStory()
      .tell(requested(oneAtATime, { tenant: "acme" }))
      .state();
    if (theirs === undefined) throw new Error("no state");
    room.admission.moved(undefined, theirs, startMs);
    expect(room.admission.select(startMs, many, 1).admit).toEqual([theirs]);
  });

  test("a slot is free when its attempt ends, is retried or is lost", () => {
    const room = createRoom();
    room.ask("a", oneAtATime);
    room.ask("b", oneAtATime);
    room.ask("c", oneAtATime);
    expect(room.settle()).toEqual([
      "a",
      "b: limit concurrency:disk (1)",
      "c: limit concurrency:disk (1)",
    ]);
    room.tell("a", "action.failed", { error: { kind: "conflict", message: "", retryable: false } });
    expect(room.settle()).toEqual(["b"]);
    room.tell("b", "action.cancelled");
    expect(room.settle()).toEqual(["c"]);
  });

  test("two slots that come free together are given to two, whatever they run", () => {
    const room = createRoom();
    const two = { concurrency: { key: "disk", limit: 2 } };
    room.ask("a", two);
    room.ask("b", two);
    room.settle();
    room.ask("c", { ...two, command: "job.c" });
    room.ask("d", { ...two, command: "job.d" });
    room.settle();
    room.tell("a", "action.succeeded");
    room.tell("b", "action.succeeded");
    expect(room.settle()).toEqual(["c", "d"]);
  });

  test("a rate window opens exactly when its oldest start leaves it", () => {
    const room = createRoom();
    for (const key of ["a", "b", "c"]) room.ask(key, twoIn10s);
    expect(room.settle()).toEqual(["a", "b", "c: limit rate:mail (0)"]);
    const waiting = room.admission.select(startMs + 9_999, many, 512);
    expect(waiting).toEqual({ admit: [], defer: [], expired: [], wakeAtMs: startMs + 10_000 });
    expect(room.settle(startMs + 10_000)).toEqual(["c"]);
    expect(room.admission.select(startMs + 10_000, many, 1).wakeAtMs).toBeUndefined();
  });

  test("each of those that share a rate key is held to its own window", () => {
    const room = createRoom();
    const minute = { rate: { key: "mail", limit: 2, per_sec: 60 } };
    const second = { rate: { key: "mail", limit: 1, per_sec: 1 } };
    room.ask("m1", minute);
    expect(room.settle()).toEqual(["m1"]);
    room.ask("s1", second);
    expect(room.settle(startMs + 2_000)).toEqual(["s1"]);
    room.ask("m2", minute);
    expect(room.settle(startMs + 4_000)).toEqual(["m2: limit rate:mail (0)"]);
    expect(room.settle(startMs + 59_999)).toEqual([]);
    expect(room.settle(startMs + 60_000)).toEqual(["m2"]);
  });

  test("a clock that steps back opens no window", () => {
    const room = createRoom();
    const rate = { rate: { key: "mail", limit: 1, per_sec: 10 } };
    room.ask("a", rate);
    expect(room.settle(startMs + 60_000)).toEqual(["a"]);
    room.ask("b", rate);
    expect(room.settle(startMs)).toEqual(["b: limit rate:mail (0)"]);
    expect(room.settle(startMs + 69_999)).toEqual([]);
    expect(room.settle(startMs + 70_000)).toEqual(["b"]);
  });
});

test("1. starts count by their time, also where the clock stepped back between them", () => {
  const room = createRoom();
  for (const key of ["a", "b", "c", "d", "e"]) room.ask(key, twoIn10s);
  room.admission.restoreRate({
    key: JSON.stringify(["default", "mail"]),
    perMs: 10_000,
    startsMs: [startMs + 12_000],
  });
  expect(room.settle(startMs)[0]).toBe("a");
  expect(room.settle(startMs + 9_999)).toEqual([]);
  expect(room.settle(startMs + 10_000)).toEqual(["b"]);
  expect(room.settle(startMs + 19_999)).toEqual([]);
  expect(room.settle(startMs + 20_000)).toEqual(["c"]);
  expect(room.settle(startMs + 22_000)).toEqual(["d"]);
});

describe("3. whoever waits is told why", () => {
  test("once a reason, with up to five of the holders and their number", () => {
    const room = createRoom();
    const seven = { concurrency: { key: "disk", limit: 7 } };
    for (let index = 0; index < 7; index += 1) room.ask(`h${String(index)}`, seven);
    room.settle();
    room.ask("late", seven);
    const { defer } = room.admission.select(startMs, many, 512);
    expect(defer).toEqual([
      {
        state: room.state("late"),
        reason: "limit",
        limitKey: "concurrency:disk",
        holders: ["h0", "h1", "h2", "h3", "h4"].map((key) => room.state(key).identity.action_id),
        holdersTotal: 7,
      },
    ]);
    expect(room.admission.select(startMs, many, 512).defer).toEqual([]);
  });

  test("that nobody executes its command, and that its command is busy", () => {
    const room = createRoom();
    room.ask("nobody", { command: "job.none" });
    room.ask("runs");
    room.ask("waits");
    expect(room.settle(startMs, one)).toEqual([
      "runs",
      "nobody: no_executor executor:job.none (0)",
      "waits: limit executor:job.run (1)",
    ]);
  });

  test("again where the first of a line comes to wait for something else", () => {
    const room = createRoom();
    const both = { ...oneAtATime, rate: { key: "mail", limit: 1, per_sec: 10 } };
    room.ask("a", both);
    room.ask("b", both);
    room.ask("c", both);
    expect(room.settle()).toEqual([
      "a",
      "b: limit concurrency:disk (1)",
      "c: limit concurrency:disk (1)",
    ]);
    room.tell("a", "action.succeeded");
    expect(room.settle()).toEqual(["b: limit rate:mail (0)"]);
    expect(room.settle(startMs + 10_000)).toEqual(["b"]);
  });

  test("not that it waits for room where the call was only not asked for more", () => {
    const room = createRoom();
    for (const key of ["a", "b", "c"]) room.ask(key);
    const first = room.admission.select(startMs, many, 2);
    expect(first.admit).toHaveLength(2);
    expect(first.defer).toEqual([]);
    expect(room.admission.select(startMs, many, 2)).toMatchObject({
      admit: [room.state("c")],
      defer: [],
    });
  });
});

describe("6. is not admitted", () => {
  test.each(["approval", "window", "paused"])("under a hold: %s", (reason) => {
    const room = createRoom();
    room.ask("a", oneAtATime);
    room.tell("a", "action.deferred", { reason });
    room.ask("b", oneAtATime);
    expect(room.settle()).toEqual(["b"]);
    room.tell("b", "action.succeeded");
    expect(room.settle()).toEqual([]);
    room.tell("a", "action.deferred", { reason: "limit" });
    expect(room.settle()).toEqual(["a"]);
  });

  test("after its cancel", () => {
    const room = createRoom();
    room.ask("a");
    room.tell("a", "action.cancel_requested");
    expect(room.state("a").phase).toBe("cancelled");
    expect(room.settle()).toEqual([]);
  });

  test("after its ttl, and makes room for the next", () => {
    const room = createRoom();
    room.ask("busy", oneAtATime);
    room.settle();
    room.ask("late", { ...oneAtATime, ttl_sec: 5 });
    room.ask("next", oneAtATime);
    room.settle();
    room.tell("busy", "action.succeeded");
    expect(room.settle(startMs + 5_000)).toEqual(["next", "late: expired"]);
  });

  test("before its retry is due", () => {
    const retry = { retry_at: "2026-01-01T00:00:05.000Z", error: {} };
    const story = createStory()
      .tell(requested())
      .tell(happened("action.accepted", 1, leaseAttrs()))
      .tell(happened("action.retrying", 2, retry));
    const waiting = story.state();
    if (waiting === undefined) throw new Error("no state");
    const admission = createAdmission();
    admission.moved(undefined, waiting, startMs);
    expect(admission.select(startMs, many, 9).admit).toEqual([]);
    const due = { name: "retry", due_ms: startMs + 5_000 };
    const ready = story.tell(happened("timer.fired", undefined, due)).state();
    if (ready === undefined) throw new Error("no state");
    admission.moved(waiting, ready, startMs + 5_000);
    expect(admission.select(startMs + 5_000, many, 9).admit).toEqual([ready]);
  });
});

describe("4. a call costs what has changed", () => {
  /** Counts how often the members of waiting states are read. */
  function watched(state: ActionState, count: () => void): ActionState {
    return new Proxy(state, {
      get: (target, member): unknown => {
        count();
        return Reflect.get(target, member) as unknown;
      },
    });
  }

  const total = 5_000;
  const waitingFor: readonly (readonly [string, Partial<RequestAttrs>])[] = [
    ["their command", {}],
    ["a concurrency key", oneAtATime],
    ["a rate window", { rate: { key: "mail", limit: 1, per_sec: 10 } }],
    ["both", { ...oneAtATime, rate: { key: "mail", limit: 1, per_sec: 10 } }],
  ];

  test.each(waitingFor)(
    `${String(total)} that wait for %s cost nothing, and one place one`,
    (...row) => {
      const [, attrs] = row;
      const admission = createAdmission();
      let reads = 0;
      let asked = 0;
      const capacity = (): number => {
        asked += 1;
        return 1;
      };
      const base = createStory().tell(requested(attrs)).state();
      if (base === undefined) throw new Error("no state");
      for (let index = 0; index < total; index += 1) {
        const identity = { ...base.identity, action_id: requestedId(index) };
        const deferred = { reason: "limit", limitKey: "executor:job.run" } as const;
        const state = { ...base, identity, deferred, requestOffset: index + 1 };
        admission.moved(
          undefined,
          watched(state, () => (reads += 1)),
          startMs,
        );
      }
      const start = (nowMs: number): ActionState & { phase: "started" } => {
        const [chosen] = admission.select(nowMs, capacity, 512).admit;
        if (chosen?.phase !== "requested") throw new Error("Nobody was admitted");
        const lease = { workerId: workerId("w1"), leaseUntilMs: 0, idempotent: true };
        const running = { ...chosen, ...lease, phase: "started" } as const;
        admission.moved(chosen, running, nowMs);
        admission.select(nowMs, capacity, 512);
        return running;
      };
      let running = start(startMs);
      reads = 0;
      asked = 0;
      expect(admission.select(startMs, capacity, 512)).toMatchObject({ admit: [], defer: [] });
      expect([reads, asked]).toEqual([0, 0]);
      for (let turn = 1; turn <= 3; turn += 1) {
        const ended = { ...running, phase: "cancelled", endedAtMs: 0, terminalOffset: 0 } as const;
        admission.moved(running, ended, startMs + turn * 10_000);
        running = start(startMs + turn * 10_000);
        expect(running.requestOffset).toBe(turn + 1);
      }
      expect(reads).toBeLessThan(500);
      expect(asked).toBeLessThan(50);
    },
  );

  function requestedId(index: number): ActionState["identity"]["action_id"] {
    const { action_id: id } = requested({}, { idempotencyKey: `k${String(index)}` });
    if (id === undefined) throw new Error("no action id");
    return id;
  }
});

test("a rate window that says nothing any more is forgotten", () => {
  const admission = createAdmission();
  const windows = new Map<string, RateWindow>();
  const restored = Array.from({ length: 1_100 }, (_, index) => `k${String(index)}`);
  for (const key of restored) {
    admission.restoreRate({ key, perMs: 1_000, startsMs: [startMs] });
    windows.set(key, { key, perMs: 1_000, startsMs: [startMs] });
  }
  expect(admission.takeRateChanges()).toEqual([]);
  admission.select(startMs + 999, many, 1);
  expect(admission.takeRateChanges()).toEqual([]);
  for (let index = 0; index < 2_000; index += 1) {
    admission.restoreRate({ key: `n${String(index)}`, perMs: 1_000, startsMs: [startMs + 999] });
  }
  admission.select(startMs + 1_000, many, 1);
  const gone = admission.takeRateChanges();
  expect(gone.map(({ key }) => key)).toEqual(restored);
  expect(gone.every(({ startsMs }) => startsMs.length === 0)).toBe(true);
});
