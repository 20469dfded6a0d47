import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Json, JsonObject } from "../base/json.ts";
import { actionIdOf, eventId, executionId } from "../event/ids.ts";
import { requestProblem, requestEvent, requestLimits } from "./request.ts";
import { parseRequestAttrs } from "./request-schema.ts";

const call = { command: "job.run", args: {} };

describe("requestEvent", () => {
  test("asks for the action that follows from tenant and key, with all that it came from", () => {
    const event = requestEvent({
      attrs: { ...call, ttl_sec: 60 },
      idempotencyKey: "k1",
      entityId: "job:nightly",
      ts: "2026-01-01T00:00:00.000Z",
      source: { system: "test", ns: {} },
      tenant: "acme",
      priority: "high",
      correlationId: "slot:2026-01-01T00:00Z",
      causationId: eventId("7"),
      executionId: executionId("e1"),
      tags: { step: "one", tenant: "other", priority: "low", action: "x" },
    });
    expect(event).toEqual({
      ts: "2026-01-01T00:00:00.000Z",
      event_type: "action.requested",
      entity_id: "job:nightly",
      correlation_id: "slot:2026-01-01T00:00Z",
      causation_id: "7",
      idempotency_key: "k1",
      action_id: actionIdOf("acme", "k1"),
      execution_id: "e1",
      source: { system: "test", ns: {} },
      tags: { step: "one", tenant: "acme", priority: "high", action: "job.run" },
      attrs: { ...call, ttl_sec: 60 },
    });
  });

  test("is of the default tenant and of normal priority unless told otherwise", () => {
    const event = requestEvent({
      attrs: call,
      idempotencyKey: "k1",
      entityId: "job:nightly",
      ts: "2026-01-01T00:00:00.000Z",
      source: { system: "test", ns: {} },
    });
    expect(event.tags).toEqual({ tenant: "default", priority: "normal", action: "job.run" });
    expect(event.action_id).toBe(actionIdOf("default", "k1"));
  });
});

// A member that is one step outside its limits, and what the fold and the edge say.
const outside: readonly (readonly [JsonObject, string, string])[] = [
  [{ command: "Job Run" }, "command is not a dotted lower-case name", "/command"],
  [{ command: 7 }, "command is not a dotted lower-case name", "/command"],
  [{ args: [] }, "args must be an object", "/args"],
  [{ ttl_sec: -1 }, "ttl_sec must be a number from 0 to 31536000", "/ttl_sec"],
  [{ ttl_sec: 31_536_001 }, "ttl_sec must be a number from 0 to 31536000", "/ttl_sec"],
  [{ ttl_sec: "60" }, "ttl_sec must be a number from 0 to 31536000", "/ttl_sec"],
  [{ timeout_sec: 0 }, "timeout_sec must be a number > 0, at most 86400", "/timeout_sec"],
  [{ timeout_sec: 86_401 }, "timeout_sec must be a number > 0, at most 86400", "/timeout_sec"],
  [{ retry: { attempts: 0 } }, "retry is not a retry policy", "/retry/attempts"],
  [{ retry: { attempts: 1_001 } }, "retry is not a retry policy", "/retry/attempts"],
  [{ retry: { initial_ms: -1 } }, "retry is not a retry policy", "/retry/initial_ms"],
  [{ retry: { max_ms: 86_400_001 } }, "retry is not a retry policy", "/retry/max_ms"],
  [{ retry: { multiplier: 0.5 } }, "retry is not a retry policy", "/retry/multiplier"],
  [{ retry: "often" }, "retry is not a retry policy", "/retry"],
  [{ concurrency: { limit: 1 } }, "concurrency is not a limit with a key", "/concurrency"],
  [
    { concurrency: { key: "a", limit: 0 } },
    "concurrency is not a limit with a key",
    "/concurrency/limit",
  ],
  [{ rate: { key: "a", limit: 1 } }, "rate is not a limit with a key", "/rate"],
  [
    { rate: { key: "a", limit: 10_001, per_sec: 1 } },
    "rate is not a limit with a key",
    "/rate/limit",
  ],
  [{ rate: { key: "a", limit: 1, per_sec: 0 } }, "rate is not a limit with a key", "/rate/per_sec"],
  [
    { rate: { key: "a", limit: 1, per_sec: 604_801 } },
    "rate is not a limit with a key",
    "/rate/per_sec",
  ],
  [{ secrets: {} }, "secrets is not a list of paths", "/secrets"],
  [{ secrets: [[]] }, "secrets is not a list of paths", "/secrets/0"],
  [{ secrets: [["a", -1]] }, "secrets is not a list of paths", "/secrets/0/1"],
  [{ secrets: [[null]] }, "secrets is not a list of paths", "/secrets/0/0"],
  [{ secrets: Array(1_001).fill(["a"]) }, "secrets is not a list of paths", "/secrets"],
  [{ keychain: ["api"] }, "keychain does not give an alias to each name", "/keychain"],
  [{ keychain: { api: 7 } }, "keychain does not give an alias to each name", "/keychain/api"],
  [
    { compensate: 7 },
    "compensate cannot be asked for: its form is not {command, args}",
    "/compensate",
  ],
  [
    { compensate: { command: "x" } },
    "compensate cannot be asked for: its args must be an object",
    "/compensate",
  ],
];

describe("what is outside the limits", () => {
  test.each(outside)("%j is refused by the fold and at the edge", (member, problem, pointer) => {
    expect(requestProblem({ ...call, ...member })).toContain(problem);
    const parsed = parseRequestAttrs({ ...call, ...member });
    expect(parsed).toMatchObject({ ok: false, error: { kind: "invalid_args" } });
    if (!parsed.ok) {
      const problems = parsed.error.detail?.["problems"] as readonly { pointer: string }[];
      expect(problems.map((one) => one.pointer)).toContain(pointer);
    }
  });

  test("an unknown member is refused at the edge only: a newer version may have written it", () => {
    const attrs = { ...call, colour: "red" };
    expect(parseRequestAttrs(attrs)).toMatchObject({
      ok: false,
      error: { message: "Cannot request the action as /colour is not known" },
    });
    expect(requestProblem(attrs)).toBeUndefined();
  });
});

test("what stands exactly at the limits is taken by both", () => {
  const attrs = {
    ...call,
    ttl_sec: requestLimits.ttlSecMax,
    timeout_sec: requestLimits.timeoutSecMax,
    retry: { attempts: 1_000, initial_ms: 0, max_ms: 86_400_000, multiplier: 100 },
    concurrency: { key: "a", limit: 1_000_000 },
    rate: { key: "b", limit: 10_000, per_sec: 604_800 },
    secrets: Array<(string | number)[]>(1_000).fill(
      Array<string | number>(64).fill("a".repeat(512)),
    ),
    keychain: { api: "a".repeat(512), db: "" },
    compensate: { command: "job.undo", args: { id: 1 } },
  };
  expect(requestProblem(attrs)).toBeUndefined();
  expect(parseRequestAttrs(attrs)).toEqual({ ok: true, value: attrs });
});

test("whatever the edge takes, the fold takes", () => {
  const json = fc.jsonValue({ maxDepth: 1 }) as fc.Arbitrary<Json>;
  const number = fc.oneof(
    { arbitrary: fc.integer({ min: 1, max: 100 }), weight: 20 },
    { arbitrary: fc.oneof(fc.integer(), fc.double(), json), weight: 1 },
  );
  const member = fc.record(
    {
      ttl_sec: number,
      timeout_sec: number,
      retry: fc.record(
        { attempts: number, initial_ms: number, max_ms: number, multiplier: number },
        { requiredKeys: [] },
      ),
      concurrency: fc.record({ key: fc.string(), limit: number }),
      rate: fc.record({ key: fc.string(), limit: number, per_sec: number }),
      compensate: fc.record({
        command: fc.constantFrom("a.b", "A", 1),
        args: fc.oneof(fc.constant({}), json),
      }),
    },
    { requiredKeys: [] },
  );
  let taken = 0;
  fc.assert(
    fc.property(member, (members) => {
      const attrs = { ...call, ...members } as JsonObject;
      if (!parseRequestAttrs(attrs).ok) return;
      taken += 1;
      expect(requestProblem(attrs)).toBeUndefined();
    }),
    { numRuns: 1_000 },
  );
  expect(taken).toBeGreaterThan(100);
});
