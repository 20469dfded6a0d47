import { describe, expect, test } from "vitest";
import type { Json } from "../base/json.ts";
import { playbook, type StepNote } from "../../test/core/notation.ts";
import { Play, answers } from "../../test/core/play.ts";

describe("arguments", () => {
  test("a command carries the rendered members of its tool and nothing else", () => {
    const play = new Play(
      playbook({
        workload: { secretive: "x", url: "http://h" },
        steps: {
          start: {
            tool: {
              kind: "http",
              config: { url: "{{ url }}", method: "GET", n: 1 },
              timeout: "{{ 1 + 1 }}",
            },
          },
        },
      }),
    );
    play.run().proved();
    expect(play.commands).toEqual([
      {
        do: "request",
        key: "e1/start/1/-/start/1",
        place: { step: "start", activation: 1, item: "-", task: "start", attempt: 1 },
        kind: "http",
        args: { url: "http://h", method: "GET", n: 1 },
        timeoutMs: 2000,
      },
    ]);
  });

  test("a string that names the keychain stays as written, and its path says that it does", () => {
    const play = new Play(
      playbook({
        workload: { evil: "{{ keychain.api.token }}" },
        steps: {
          start: {
            tool: {
              config: { headers: { Authorization: "Bearer {{ keychain.api.token }}" } },
              input: { list: ["{{ keychain.api.id }}", "{{ evil }}"] },
            },
          },
        },
      }),
    );
    play.run({ evil: "{{ keychain.api.token }}" }).proved();
    expect(play.commands[0]).toMatchObject({
      args: {
        headers: { Authorization: "Bearer {{ keychain.api.token }}" },
        input: { list: ["{{ keychain.api.id }}", "{{ keychain.api.token }}"] },
      },
      secrets: [
        ["headers", "Authorization"],
        ["input", "list", 0],
      ],
    });
  });

  test("a name of the keychain with a credential of another name travels with what names it", () => {
    const step = (url: string): StepNote => ({ tool: { config: { url } } });
    const keychain = [
      { name: "db", kind: "credential_ref", credential: "pg_main" },
      { name: "api", kind: "bearer" },
    ];
    const steps = {
      start: { ...step("{{ keychain.db.host }}"), next: ["b"] },
      b: step("http://h"),
    };
    const play = new Play({ ...playbook({ steps }), keychain });
    play.run().proved();
    expect(play.commands.map((command) => command.keychain)).toEqual([
      { db: "pg_main" },
      undefined,
    ]);
  });

  test("a reference passes through untouched", () => {
    const data = { $ref: "blob:sha256:00", size: 9 };
    const play = new Play(
      playbook({
        steps: { start: { next: "end" }, end: { tool: { input: { it: "{{ start }}" } } } },
      }),
      answers({ start: { ok: data } }),
    );
    expect(play.run().proved().args("end")).toEqual({ input: { it: data } });
  });

  test("arguments beyond the limit fail the step instead of wedging it", () => {
    const play = new Play(
      playbook({
        workload: { big: "x".repeat(4_200_000) },
        steps: { start: { tool: { input: { it: "{{ big }}" } } } },
      }),
    );
    expect(play.run().status).toBe("FAILED");
    expect(play.why).toBe(
      'step "start": Cannot send the arguments as they are larger than 4194304 bytes: pass a reference, or less',
    );
  });
});

describe("semantics 16: the result", () => {
  test.each<[string, { [name: string]: StepNote }, Json | undefined, Json]>([
    [
      "the last completed step's data",
      { start: { next: "end" }, end: {} },
      undefined,
      { from: "end" },
    ],
    [
      "a noop end does not erase it",
      { start: { next: "end" }, end: { tool: { kind: "noop" } } },
      undefined,
      { from: "start" },
    ],
    ["nothing but noops", { start: { tool: { kind: "noop" } } }, undefined, null],
    [
      "the declared output",
      { start: { set: { "ctx.n": 1 }, next: "end" }, end: {} },
      { n: "{{ ctx.n }}", start: "{{ start.from }}" },
      { n: 1, start: "start" },
    ],
    [
      "a step's declared output replaces its data",
      { start: { output: { only: "{{ output.data.from }}" } } },
      undefined,
      { only: "start" },
    ],
  ])("%s", (_name, steps, output, result) => {
    const play = new Play(playbook({ steps, ...(output === undefined ? {} : { output }) }));
    expect(play.run().proved().result).toEqual(result);
  });

  test("a declared output that cannot be rendered fails the execution", () => {
    const play = new Play(playbook({ strict: true, steps: { start: {} }, output: "{{ nobody }}" }));
    expect(play.run().proved().status).toBe("FAILED");
    expect(play.why).toMatch(/^Cannot render output at offset/);
  });

  test("data of a step that no template names is not kept", () => {
    const play = new Play(
      playbook({
        steps: {
          start: { next: "mid" },
          mid: { next: "end" },
          end: { tool: { input: { a: "{{ start }}" } } },
        },
      }),
      answers({ end: "open" }),
    );
    play.run().proved();
    expect([...play.state.data.keys()]).toEqual(["start"]);
  });
});

test("the keys of an object keep their order, through snapshots too", () => {
  const play = new Play(
    playbook({
      workload: { given: { z: 1, a: 2 } },
      steps: {
        start: { next: "print" },
        print: {
          tool: {
            config: { url: "{{ given }} {{ start }}" },
            input: { first: "{{ start | first }}" },
          },
        },
      },
    }),
  );
  play.start().answer("e1/start/1/-/start/1", { ok: { y: 1, b: 2 } });
  expect(play.commands[1]).toMatchObject({
    args: { url: "{'z': 1, 'a': 2} {'y': 1, 'b': 2}", input: { first: "y" } },
  });
  play.answer("e1/print/1/-/print/1", { ok: 1 }).proved();
});
