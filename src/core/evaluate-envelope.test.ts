import { describe, expect, test } from "vitest";
import type { Json } from "../base/json.ts";
import type { DeedError } from "../event/error.ts";
import { playbook } from "../../test/core/notation.ts";
import { Play, answers, failure, type Answer } from "../../test/core/play.ts";

describe("semantics 9: the envelope", () => {
  const seen = (strict: boolean, kind: string, answer: Answer): Json | undefined =>
    new Play(
      playbook({
        strict,
        steps: {
          start: { tool: { kind, rules: [{ do: "continue", set: { "ctx.o": "{{ output }}" } }] } },
        },
      }),
      answers({ start: answer }),
    )
      .run()
      .proved().ctx["o"];
  const error = (kind: DeedError["kind"], status?: number): Answer =>
    failure("m", {
      kind,
      retryable: true,
      ...(status === undefined ? {} : { detail: { status } }),
    });

  test("of a success", () => {
    expect(seen(false, "python", { ok: [1] })).toEqual({
      status: "ok",
      data: [1],
      error: null,
      http: null,
      attempt: 1,
      duration_ms: 0,
    });
  });

  test("of an http success: status and headers, and the body's fields beside the four of the answer", () => {
    const body = { paging: { page: 2 }, status_code: "own" };
    const data = { status_code: 200, headers: { a: "b" }, data: body, body };
    expect(seen(false, "http", { ok: data })).toEqual({
      status: "ok",
      data: { ...data, paging: { page: 2 } },
      error: null,
      http: { status: 200, headers: { a: "b" } },
      attempt: 1,
      duration_ms: 0,
    });
  });

  test.each<[DeedError["kind"], number | undefined, string]>([
    ["rate_limited", 429, "rate_limit"],
    ["permission", 401, "auth"],
    ["unavailable", 503, "server_error"],
    ["executor_error", 500, "server_error"],
    ["timeout", undefined, "timeout"],
    ["unavailable", undefined, "unavailable"],
    ["not_found", 404, "not_found"],
  ])("%s with status %s reads as %s in noetl.io/v2, as itself in deed/v1", (kind, status, word) => {
    const detail = status === undefined ? {} : { detail: { status } };
    const http = status === undefined ? null : { status, headers: {} };
    const rest = { status: "error", data: null, http, attempt: 1, duration_ms: 0 };
    const own = status === undefined ? {} : { status };
    expect(seen(false, "http", error(kind, status))).toEqual({
      ...rest,
      error: { kind: word, message: "m", retryable: true, ...detail, ...own },
    });
    expect(seen(true, "http", error(kind, status))).toEqual({
      ...rest,
      error: { kind, message: "m", retryable: true, ...detail },
    });
  });

  test("duration_ms is the time between the events, or what the executor measured", () => {
    const play = new Play(
      playbook({
        steps: {
          start: {
            tool: {
              set: { "ctx.x": 1 },
              rules: [{ do: "continue", set: { "ctx.ms": "{{ output.duration_ms }}" } }],
            },
          },
        },
      }),
    ).start();
    play.nowMs += 1234;
    expect(play.goOn().proved().ctx).toEqual({ x: 1, ms: 1234 });
  });
});
