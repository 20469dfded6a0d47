import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { JsonObject } from "../base/json.ts";
import { observation, startNode, type TestNode } from "../../test/api/node.ts";

let node: TestNode;
let reason: string | undefined;

beforeEach(async () => {
  reason = undefined;
  node = await startNode({ notReady: () => reason });
});

afterEach(async () => {
  await node.stop();
});

describe("health", () => {
  it("/healthz answers as long as the process does", async () => {
    reason = "the program is stopping";
    expect((await node.ask("GET", "/healthz")).body).toEqual({ status: "ok" });
  });

  it("/readyz answers with the newest offset, or 503 with why not", async () => {
    const ready = await node.ask("GET", "/readyz");
    expect([ready.status, ready.body]).toEqual([200, { status: "ready", head: node.log.head() }]);
    reason = "the program is stopping";
    const not = await node.ask("GET", "/readyz");
    expect([not.status, not.body["kind"], not.body["detail"]]).toEqual([
      503,
      "unavailable",
      "Not ready: the program is stopping",
    ]);
  });
});

describe("/metrics", () => {
  const values = async (): Promise<Map<string, number>> => {
    const answer = await node.ask("GET", "/metrics");
    expect(answer.headers["content-type"]).toMatch(/^text\/plain; version=0\.0\.4/);
    const lines = answer.text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
    return new Map(
      lines.map((line) => {
        const [, name = "", value] = /^(\S+(?:\{.*\})?) (\S+)$/.exec(line) ?? [];
        return [name, Number(value)];
      }),
    );
  };

  it("counts what is committed", async () => {
    const ask = (body: JsonObject, wait: string): Promise<unknown> =>
      node.ask("POST", "/v1/actions", { body, headers: { prefer: `wait=${wait}` } });
    await ask({ command: "noop" }, "5");
    await ask({ command: "noop" }, "5");
    await ask({ command: "test.fail", args: { message: "x" } }, "5");
    await ask({ command: "robot.dance" }, "0");
    await ask({ command: "test.hold" }, "0");
    const sent = observation({ idempotency_key: "k" });
    await node.ask("POST", "/v1/events", { body: [sent, sent] });
    const seen = await values();
    expect(Object.fromEntries([...seen].filter(([name]) => /^deed_(?!time_)/.test(name)))).toEqual({
      'deed_events_total{topic="actions.requested"}': 5,
      'deed_events_total{topic="actions.progress"}': 9,
      'deed_events_total{topic="actions.result"}': 3,
      'deed_events_total{topic="actions.dlq"}': 1,
      'deed_events_total{topic="events.normalized"}': 1,
      'deed_actions_ended_total{command="noop",outcome="succeeded"}': 2,
      'deed_actions_ended_total{command="test.fail",outcome="failed"}': 1,
      'deed_actions_deferred_total{reason="no_executor"}': 1,
      'deed_dead_letters_total{reason="failed"}': 1,
      deed_log_head_offset: node.log.head(),
      deed_actions_open: 2,
      deed_actions_running: 1,
      deed_actions_queued: 1,
      deed_timers: 1,
      deed_rules_active: 0,
      deed_executions_requested_total: 0,
      deed_executions_started_total: 0,
      deed_executions_open: 0,
    });
    expect(seen.get("deed_time_to_resolve_seconds_count")).toBe(3);
    expect(seen.get("deed_time_to_accept_seconds_count")).toBe(4);
    expect(seen.get("process_resident_memory_bytes")).toBeGreaterThan(1_000_000);
  });
});

describe("/v1/commands and /v1/rules", () => {
  it("say what the node serves, with the schema of its args", async () => {
    const answer = await node.ask("GET", "/v1/commands");
    const commands = answer.body["commands"] as JsonObject[];
    expect(commands.map((one) => one["command"])).toEqual(["noop", "test.fail", "test.hold"]);
    expect(commands[1]?.["args_schema"]).toEqual({
      type: "object",
      required: ["message"],
      properties: { message: { type: "string" } },
      additionalProperties: false,
    });
    expect((await node.ask("GET", "/v1/rules")).body).toEqual({ rules: [] });
    expect((await node.ask("GET", "/v1/schedules")).body).toEqual({ schedules: [] });
  });
});

describe("/openapi.json", () => {
  type Operation = {
    operationId?: string;
    description?: string;
    parameters?: { name: string; in: string; required?: boolean; schema: unknown }[];
    requestBody?: { content: Record<string, { schema: JsonObject }> };
    responses: Record<string, { description: string; content?: Record<string, unknown> }>;
  };

  type Description = {
    openapi: string;
    info: { title: string; version: string };
    paths: Record<string, Record<string, Operation>>;
    components: { schemas: Record<string, unknown>; securitySchemes: unknown };
  };

  const described = async (): Promise<Description> =>
    (await node.ask("GET", "/openapi.json")).body as unknown as Description;

  const operationsOf = ({ paths }: Description): [string, Operation][] =>
    Object.entries(paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, operation]): [string, Operation] => [
        `${method.toUpperCase()} ${path}`,
        operation,
      ]),
    );

  it("describes every route, and nothing else", async () => {
    const description = await described();
    expect(description.openapi).toBe("3.1.0");
    expect(description.info).toMatchObject({ title: "Deed", version: "1" });
    expect(
      operationsOf(description)
        .map(([name]) => name)
        .sort(),
    ).toEqual([
      "DELETE /v1/playbooks/{path}/pin",
      "GET /",
      "GET /healthz",
      "GET /metrics",
      "GET /readyz",
      "GET /v1/actions",
      "GET /v1/actions/{id}",
      "GET /v1/actions/{id}/events",
      "GET /v1/approvals",
      "GET /v1/commands",
      "GET /v1/dlq",
      "GET /v1/events",
      "GET /v1/events/stream",
      "GET /v1/events/{id}",
      "GET /v1/executions",
      "GET /v1/executions/{id}",
      "GET /v1/executions/{id}/events",
      "GET /v1/playbooks",
      "GET /v1/playbooks/{path}",
      "GET /v1/rules",
      "GET /v1/schedules",
      "POST /v1/actions",
      "POST /v1/actions/{id}/cancel",
      "POST /v1/approvals/{action_id}",
      "POST /v1/dlq/{id}/discard",
      "POST /v1/dlq/{id}/redrive",
      "POST /v1/events",
      "POST /v1/executions",
      "POST /v1/executions/{id}/cancel",
      "POST /v1/executions/{id}/pause",
      "POST /v1/executions/{id}/rerun",
      "POST /v1/executions/{id}/resume",
      "POST /v1/playbooks",
      "PUT /v1/playbooks/{path}/pin",
    ]);
  });

  it("every operation has an id of its own, a description, an answer and the problem", async () => {
    const operations = operationsOf(await described());
    const ids = operations.map(([, { operationId }]) => operationId);
    expect(new Set(ids).size).toBe(operations.length);
    for (const [name, { operationId, description, responses }] of operations) {
      expect(operationId, name).toMatch(/^[a-z][A-Za-z]+$/);
      expect(description, name).toBeTruthy();
      expect(
        Object.keys(responses).some((status) => /^2\d\d$/.test(status)),
        name,
      ).toBe(true);
      const failures = Object.entries(responses).filter(([status]) => !/^2\d\d$/.test(status));
      expect(
        failures.map(([status]) => status),
        name,
      ).toContain("default");
      for (const [, { content }] of failures) {
        expect(content, name).toEqual({
          "application/problem+json": { schema: { $ref: "#/components/schemas/Problem" } },
        });
      }
      for (const answer of Object.values(responses)) expect(answer.description, name).toBeTruthy();
    }
  });

  it("every parameter of a path is described, and every reference leads somewhere", async () => {
    const description = await described();
    for (const [name, { parameters = [] }] of operationsOf(description)) {
      const inPath = [...name.matchAll(/\{(\w+)\}/g)].map((match) => match[1]);
      const told = parameters.filter((one) => one.in === "path");
      expect(
        told.map((one) => one.name),
        name,
      ).toEqual(inPath);
      expect(
        told.every((one) => one.required === true),
        name,
      ).toBe(true);
    }
    const references = [...JSON.stringify(description).matchAll(/"\$ref":"([^"]+)"/g)];
    expect(references.length).toBeGreaterThan(0);
    for (const [, reference] of references) {
      const name = /^#\/components\/schemas\/(\w+)$/.exec(reference ?? "")?.[1] ?? "";
      expect(Object.keys(description.components.schemas)).toContain(name);
    }
  });

  it("tells what a body may be", async () => {
    const { paths } = await described();
    const bodyOf = (path: string): Record<string, { schema: JsonObject }> =>
      paths[path]?.["post"]?.requestBody?.content ?? {};
    expect(Object.keys(bodyOf("/v1/events"))).toEqual([
      "application/json",
      "application/x-ndjson",
      "application/cloudevents+json",
      "application/cloudevents-batch+json",
    ]);
    const request = bodyOf("/v1/actions")["application/json"]?.schema;
    expect(request).toMatchObject({
      type: "object",
      required: ["command"],
      additionalProperties: false,
    });
  });
});
