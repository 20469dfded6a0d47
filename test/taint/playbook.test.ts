/** A playbook that uses, passes on and fails with secrets leaves none of them on the log, in events or snapshots. */
import Type from "typebox";
import { inspect } from "node:util";
import { expect, test } from "vitest";
import { executionRequestEvent } from "../../src/action/execution-request.ts";
import { renderKeychain } from "../../src/app/keychain.ts";
import { sha256Hex } from "../../src/base/hash.ts";
import type { Json, JsonObject } from "../../src/base/json.ts";
import { registeredEvent } from "../../src/decider/playbook.ts";
import { fault } from "../../src/event/error.ts";
import { workerId } from "../../src/event/ids.ts";
import { createMemoryBlobs } from "../../src/executor/blob/memory.ts";
import { createSecret } from "../../src/executor/credential.ts";
import type { Executor } from "../../src/executor/executor.ts";
import { createWorker } from "../../src/executor/worker.ts";
import { createManualClock } from "../manual-clock.ts";
import { attrsOf, leaseMs, startNode, type Node } from "../node.ts";
import { leaks } from "./scan.ts";

const ts = "2026-11-24T05:00:00.000Z";

const cores = { api: "Zq7Kx9Wm2Vt4Hb5Rd", pg_main: "Jn3Pf8Lc6Gy1Ts0Qa" };

const text = `apiVersion: noetl.io/v2
kind: Playbook
metadata: { name: secretive, path: secretive }
keychain:
  - { name: db, kind: credential_ref, credential: pg_main }
workflow:
  - step: start
    tool:
      kind: http
      headers: { Authorization: "Bearer {{ keychain.api.value }}" }
      url: http://h/
    set: { ctx.seen: "{{ output.data.headers.Authorization }}" }
    next: [{ step: passes_on }]
  - step: passes_on
    tool: { kind: action, command: http, args: { url: "{{ keychain.db.value }}", seen: "{{ ctx.seen }}" } }
    next: [{ step: fails }]
  - step: fails
    tool:
      - name: bad
        kind: python
        code: x
        input: { password: "{{ keychain.db.value }}" }
`;

/** Gives back, or fails with, all that it was given. */
function echo(command: string, seen: JsonObject[]): Executor {
  return {
    command,
    description: "Tells everything",
    argsSchema: Type.Object({}, { additionalProperties: true }),
    idempotent: () => true,
    concurrency: 4,
    timeoutMs: 60_000,
    execute: (args): Promise<Json> => {
      seen.push(args);
      if (command === "http") return Promise.resolve(args);
      const message = `failed with ${JSON.stringify(args)}`;
      return Promise.reject(fault("permission", message, { args }));
    },
  };
}

test("what a playbook's steps are told in confidence is in no event, row or snapshot", async () => {
  const clock = createManualClock();
  const seen: JsonObject[] = [];
  let started: Node | undefined = undefined;
  const worker = createWorker({
    id: workerId("worker-1"),
    executors: [echo("http", seen), echo("python", seen)],
    report: (events) => started?.log.append(events) ?? Promise.reject(new Error("not yet")),
    clock,
    blobs: createMemoryBlobs(),
    credentials: {
      resolve: (alias) => {
        const core = alias === "api" ? cores.api : cores.pg_main;
        return alias in cores
          ? Promise.resolve(createSecret(alias, { value: `"${core}\\'+/` }))
          : Promise.reject(fault("not_found", `There is no credential "${alias}"`));
      },
    },
    renderSecrets: renderKeychain,
    leaseMs,
    warn: () => undefined,
  });
  const node: Node = await startNode({ clock, worker });
  started = node;
  const playbook = { path: "secretive", digest: sha256Hex(text), text };
  await node.put(
    registeredEvent(playbook, { ts, replaces: undefined }),
    executionRequestEvent({
      attrs: { playbook: "secretive", payload: {} },
      idempotencyKey: "run",
      ts,
      source: { system: "test", ns: {} },
    }),
  );
  await clock.advance(1_000);

  expect(seen).toEqual([
    { url: "http://h/", headers: { Authorization: `Bearer "${cores.api}\\'+/` } },
    { url: `"${cores.pg_main}\\'+/`, seen: "Bearer [secret api]" },
    { code: "x", input: { password: `"${cores.pg_main}\\'+/` } },
  ]);
  expect(attrsOf(node, "action.requested")[1]).toMatchObject({
    args: { url: "{{ keychain.db.value }}", seen: "Bearer [secret api]" },
    secrets: [["url"]],
    keychain: { db: "pg_main" },
  });
  expect(attrsOf(node, "execution.failed")).toMatchObject([
    { error: { message: expect.stringContaining("[secret pg_main]") as unknown } },
  ]);
  const all = { depth: Infinity, maxArrayLength: Infinity, maxStringLength: Infinity };
  const disk = { where: "disk", bytes: Buffer.from(inspect(node.disk, all)) };
  expect(disk.bytes.includes("[secret api]")).toBe(true);
  expect(leaks([disk], cores)).toEqual([]);
});
