import { describe, expect, test } from "vitest";
import { timestamp } from "../base/clock.ts";
import { deedError, type DeedError } from "../event/error.ts";
import type { NewEvent } from "../event/envelope.ts";
import { actionIdOf, executionId } from "../event/ids.ts";
import {
  createStory,
  firstAction,
  happened,
  leaseAttrs,
  requested,
  retryAttrs,
  startMs,
  timer,
  type Story,
} from "./given.ts";
import type { ActionRequest, RequestAttrs } from "./request.ts";

const leaseEndMs = startMs + 30_000;

function given(attrs: Partial<RequestAttrs> = {}, more: Partial<ActionRequest> = {}): Story {
  return createStory().tell(requested(attrs, more));
}

function accepted(attrs: Partial<RequestAttrs> = {}, more: Partial<ActionRequest> = {}): Story {
  return given(attrs, more).tell(happened("action.accepted", 1, leaseAttrs()));
}

/** Started by worker `w1`; the executor promises that it may run again unless told otherwise. */
function started(
  attrs: Partial<RequestAttrs> = {},
  { idempotent = true, ...more }: Partial<ActionRequest> & { readonly idempotent?: boolean } = {},
): Story {
  const lease = { ...leaseAttrs(), idempotent };
  return accepted(attrs, more).tell(happened("action.started", 1, lease));
}

function typesOf(story: Story): readonly string[] {
  return story.records.map(({ event }) => event.event_type.replace("action.", ""));
}

function lastOf(story: Story): NewEvent | undefined {
  return story.records.at(-1)?.event;
}

function lost(worker: string): NewEvent {
  return happened("worker.lost", undefined, { worker_id: worker });
}

function failed(error: DeedError, attempt = 1): NewEvent {
  return happened("action.failed", attempt, { error });
}

const cancel = happened("action.cancel_requested", 1, { reason: "not needed", by: "ann" });

describe("ttl", () => {
  test("a request that comes after its ttl is never offered", () => {
    const late = createStory().tell(requested({ ttl_sec: 60 }), startMs + 60_000);
    expect(late.state()).toMatchObject({
      phase: "failed",
      deadLetter: undefined,
      error: {
        kind: "ttl_expired",
        message: "job.run was not started within 60 s of its request",
        retryable: false,
      },
    });
    const inTime = createStory().tell(requested({ ttl_sec: 60 }), startMs + 59_999);
    expect(inTime.state()?.phase).toBe("requested");
  });

  test.each([
    ["waits for room", given({ ttl_sec: 60 })],
    [
      "waits for an approval",
      given({ ttl_sec: 60 }).tell(happened("action.deferred", 1, { reason: "approval" })),
    ],
    [
      "was accepted, with a lease that is longer than the ttl",
      given({ ttl_sec: 60 }).tell(
        happened("action.accepted", 1, leaseAttrs("w1", startMs + 90_000)),
      ),
    ],
  ])("ends what %s, and nothing is left for a person", (_, story) => {
    story.tell(timer("ttl", startMs + 60_000), startMs + 60_000);
    expect(story.state()).toMatchObject({ phase: "failed", errorKind: "ttl_expired" });
    expect(story.state()).toHaveProperty("deadLetter", undefined);
  });

  test("does not end a running attempt", () => {
    const story = started({ ttl_sec: 1 }).tell(timer("ttl", startMs + 1_000), startMs + 1_000);
    expect(story.state()?.phase).toBe("started");
    expect(story.refusals.map(({ kind }) => kind)).toEqual(["stale_timer"]);
  });

  test("ends a retry that was started before, as a dead letter by its deadline", () => {
    const story = started({ ttl_sec: 60 })
      .tell(happened("action.retrying", 2, retryAttrs()))
      .tell(timer("retry", startMs + 5_000), startMs + 5_000)
      .tell(timer("ttl", startMs + 60_000), startMs + 60_000);
    expect(story.state()).toMatchObject({
      phase: "failed",
      deadLetter: "pending",
      error: { message: "job.run was not started again within 60 s of its request" },
    });
    expect(lastOf(story)?.attrs).toMatchObject({ reason: "deadline", attempts: 2 });
  });
});

describe("cancel", () => {
  test.each([
    ["queued", given()],
    ["accepted and not started", accepted()],
    ["waiting for its retry", started().tell(happened("action.retrying", 2, retryAttrs()))],
  ])("of work that is %s is final at once", (_, story) => {
    const attempt = story.state()?.attempt;
    story.tell(cancel);
    expect(story.state()?.phase).toBe("cancelled");
    expect(lastOf(story)).toMatchObject({
      event_type: "action.cancelled",
      attempt,
      attrs: { reason: "not needed" },
      causation_id: story.records.at(-2)?.event.event_id,
    });
    const before = story.state();
    story.tell(happened("action.started", attempt, leaseAttrs()));
    expect(story.state()).toBe(before);
    expect(story.refusals.map(({ kind }) => kind)).toEqual(["terminal"]);
  });

  test("of running work waits for the executor, which may also have been faster", () => {
    const stopped = started().tell(cancel);
    expect(stopped.state()).toMatchObject({ phase: "started", cancelRequested: true });
    expect(stopped.tell(happened("action.cancelled", 1, {})).state()?.phase).toBe("cancelled");
    const faster = started()
      .tell(cancel)
      .tell(happened("action.succeeded", 1, { result: 1 }));
    expect(faster.state()?.phase).toBe("succeeded");
  });

  test("of an attempt that then failed by itself leaves no retry", () => {
    const story = started()
      .tell(cancel)
      .tell(happened("action.retrying", 2, retryAttrs()));
    expect(story.state()).toMatchObject({ phase: "cancelled", attempt: 2 });
  });

  test("of an attempt whose worker is then lost ends it, where nothing is in doubt", () => {
    const sure = started().tell(cancel).tell(timer("lease", leaseEndMs), leaseEndMs);
    expect(sure.state()?.phase).toBe("cancelled");
    const doubt = started({}, { idempotent: false }).tell(cancel);
    doubt.tell(timer("lease", leaseEndMs), leaseEndMs);
    expect(doubt.state()).toMatchObject({ phase: "failed", errorKind: "outcome_unknown" });
  });
});

describe("a lost worker", () => {
  test.each([
    ["the lease ran out", timer("lease", leaseEndMs)],
    ["the worker was lost", lost("w1")],
  ])("4. %s: an idempotent attempt runs again, fenced off from the first", (_, event) => {
    const story = started().tell(event, leaseEndMs);
    expect(story.state()).toMatchObject({
      phase: "retrying",
      attempt: 2,
      retryAtMs: leaseEndMs + 118,
      error: { kind: "unavailable", message: "The worker of attempt 1 was lost" },
    });
    story.tell(happened("action.succeeded", 1, {}));
    expect(story.state()?.phase).toBe("retrying");
    expect(story.refusals.map(({ kind }) => kind)).toEqual(["superseded"]);
  });

  test.each([
    ["the lease ran out", timer("lease", leaseEndMs)],
    ["the worker was lost", lost("w1")],
  ])("4. %s: a started attempt that is not idempotent goes to a person", (_, event) => {
    const story = started({}, { idempotent: false }).tell(event, leaseEndMs);
    expect(story.state()).toMatchObject({
      phase: "failed",
      errorKind: "outcome_unknown",
      deadLetter: "pending",
    });
    expect(lastOf(story)).toMatchObject({
      event_type: "action.dead_lettered",
      attrs: { reason: "outcome_unknown", attempts: 1, command: "job.run" },
    });
  });

  test("4. an attempt that was only accepted has done nothing and runs again", () => {
    const lease = { ...leaseAttrs(), idempotent: false };
    const story = given().tell(happened("action.accepted", 1, lease));
    expect(story.tell(lost("w1")).state()).toMatchObject({ phase: "retrying", attempt: 2 });
  });

  test("another worker's loss changes nothing", () => {
    expect(started().tell(lost("w2")).state()?.phase).toBe("started");
  });

  test("the last attempt ends as exhausted, or by the deadline of the ttl", () => {
    const exhausted = started({ retry: { attempts: 1 } }).tell(lost("w1"));
    expect(lastOf(exhausted)?.attrs).toMatchObject({ reason: "exhausted", attempts: 1 });
    const late = started({ ttl_sec: 10, retry: { attempts: 5 } });
    late.tell(timer("lease", leaseEndMs), leaseEndMs);
    expect(lastOf(late)?.attrs).toMatchObject({ reason: "deadline", attempts: 1 });
  });
});

describe("5. the dead letter", () => {
  const cases = [
    ["timeout", true, "exhausted"],
    ["unavailable", true, "exhausted"],
    ["rate_limited", true, "exhausted"],
    ["conflict", false, "failed"],
    ["not_found", false, "failed"],
    ["permission", false, "failed"],
    ["executor_error", false, "failed"],
    ["executor_error", true, "exhausted"],
    ["invalid_args", false, "unprocessable"],
    ["unprocessable", false, "unprocessable"],
    ["outcome_unknown", false, "outcome_unknown"],
    ["rejected", false, undefined],
    ["cancelled", false, undefined],
  ] as const;
  test.each(cases)("of a started attempt that failed by %s (retryable: %s): %s", (...row) => {
    const [kind, retryable, reason] = row;
    const error = { kind, message: "no", retryable };
    const story = started().tell(failed(error));
    expect(typesOf(story).slice(3)).toEqual(
      reason === undefined ? ["failed"] : ["failed", "dead_lettered"],
    );
    if (reason === undefined) return;
    expect(lastOf(story)?.attrs).toEqual({
      reason,
      attempts: 1,
      last_error: error,
      command: "job.run",
    });
  });

  test("of a request that cannot be read says what is wrong", () => {
    const story = given({ retry: { attempts: 0 } });
    expect(typesOf(story)).toEqual(["requested", "failed", "dead_lettered"]);
    expect(lastOf(story)?.attrs).toMatchObject({
      reason: "unprocessable",
      last_error: { message: "Cannot process the request as retry is not a retry policy" },
    });
  });

  const gone = deedError("timeout", "too slow");
  const redriven = happened("action.redriven", 1, { by: "ann" });
  const discarded = happened("action.discarded", 1, { by: "bob", reason: "old" });

  test("is re-driven once, as a new action that is linked to it and has all it was asked with", () => {
    const attrs = { ttl_sec: 600, retry: { attempts: 2 }, compensate: { command: "a", args: {} } };
    const story = started(attrs, {
      tenant: "default",
      priority: "critical",
      correlationId: "c1",
      traceparent: "00-1-2-01",
      tags: { step: "one" },
    })
      .tell(failed(deedError("permission", "no")))
      .tell(redriven, startMs + 9_000)
      .tell(redriven)
      .tell(discarded);
    expect(story.state()).toMatchObject({ phase: "failed", deadLetter: "redriven" });
    expect(story.asked.slice(1)).toEqual([
      {
        ts: timestamp(startMs + 9_000),
        event_type: "action.requested",
        entity_id: "job:nightly",
        correlation_id: "c1",
        causation_id: story.records[5]?.event.event_id,
        idempotency_key: `redrive/${firstAction}`,
        action_id: actionIdOf("default", `redrive/${firstAction}`),
        source: { system: "deed", ns: { component: "lifecycle" } },
        tags: { step: "one", tenant: "default", priority: "critical", action: "job.run" },
        attrs: { command: "job.run", args: {}, ...attrs, redrive_of: firstAction },
        traceparent: "00-1-2-01",
      },
    ]);
    expect(story.refusals.map(({ kind }) => kind)).toEqual(["terminal", "terminal"]);
  });

  test("of an execution there is none: its playbook decides what follows a failure", () => {
    const story = started({}, { executionId: executionId("e1") });
    story.tell(failed(deedError("permission", "no")));
    expect(story.state()).toMatchObject({ phase: "failed", deadLetter: undefined });
    expect(story.asked).toEqual([]);
  });

  test("that was discarded is not re-driven any more", () => {
    const story = started().tell(failed(gone)).tell(discarded).tell(redriven);
    expect(story.state()).toMatchObject({ deadLetter: "discarded" });
    expect(story.asked).toEqual([]);
  });

  test("of a request that could not be read has nothing to ask for again", () => {
    const story = given({ ttl_sec: -1 }).tell(redriven);
    expect(story.state()).toMatchObject({ deadLetter: "redriven" });
    expect(story.asked).toEqual([]);
  });
});

describe("6. compensation", () => {
  const undo = { command: "job.undo", args: { id: 7 } };

  test("of a started action that failed is a new action, once, with the same tags", () => {
    const story = started({ compensate: undo }, { priority: "high", tags: { via: "r1" } })
      .tell(failed(deedError("not_found", "no")))
      .tell(failed(deedError("not_found", "no")));
    expect(story.asked).toEqual([
      expect.objectContaining({
        event_type: "action.requested",
        idempotency_key: `compensate/${firstAction}`,
        entity_id: "job:nightly",
        causation_id: story.records[3]?.event.event_id,
        tags: { via: "r1", tenant: "default", priority: "high", action: "job.undo" },
        attrs: { ...undo, compensates: firstAction },
      }),
    ]);
  });

  test.each([
    ["succeeded", started({ compensate: undo }).tell(happened("action.succeeded", 1, {}))],
    ["was cancelled", started({ compensate: undo }).tell(happened("action.cancelled", 1, {}))],
    ["was never started", accepted({ compensate: undo }).tell(failed(deedError("rejected", "no")))],
    [
      "may or may not have happened",
      started({ compensate: undo }, { idempotent: false }).tell(lost("w1")),
    ],
    [
      "will be tried again",
      started({ compensate: undo }).tell(happened("action.retrying", 2, retryAttrs())),
    ],
  ])("is not asked for where the action %s", (_, story) => {
    expect(story.asked).toEqual([]);
  });

  test("is never compensated itself, so there is no loop", () => {
    const story = started({ compensate: undo, compensates: actionIdOf("default", "k0") });
    story.tell(failed(deedError("not_found", "no")));
    expect(story.state()).toMatchObject({ phase: "failed", deadLetter: "pending" });
    expect(story.asked).toEqual([]);
  });

  test("takes command and args only from what was asked", () => {
    const nested = { ...undo, compensate: undo, rate: { key: "a" } };
    const story = started({ compensate: nested }).tell(failed(deedError("not_found", "no")));
    expect(story.asked[0]?.attrs).toEqual({ ...undo, compensates: firstAction });
  });
});

test("every event that follows names its direct cause, its action, its attempt and its tags", () => {
  const story = started({ ttl_sec: 60 }, { correlationId: "c1" });
  story.tell(timer("lease", leaseEndMs), leaseEndMs);
  expect(lastOf(story)).toEqual({
    event_id: "1005",
    ts: timestamp(leaseEndMs),
    event_type: "action.retrying",
    entity_id: "job:nightly",
    correlation_id: "c1",
    causation_id: "1004",
    action_id: firstAction,
    attempt: 2,
    source: { system: "deed", ns: { component: "lifecycle" } },
    tags: { tenant: "default", priority: "normal", action: "job.run" },
    attrs: {
      delay_ms: 118,
      retry_at: timestamp(leaseEndMs + 118),
      error: deedError("unavailable", "The worker of attempt 1 was lost"),
    },
  });
});
