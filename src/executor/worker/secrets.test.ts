/** Invariant 7 of the worker: what was revealed to an attempt is in none of its reports. */
import { expect, test } from "vitest";
import { bench } from "../../../test/worker-bench.ts";
import { fault } from "../../event/error.ts";
import { readThrough } from "../blob.ts";
import { createSecret, type Credentials } from "../credential.ts";
import type { RenderSecrets } from "../worker.ts";

const value = "hunter2-hunter2";

const asked: string[] = [];

const credentials: Credentials = {
  resolve: (alias, tenant) => {
    asked.push(`${alias} for ${tenant}`);
    if (alias === "api") return Promise.resolve(createSecret(alias, { token: value, n: 7 }));
    return Promise.reject(fault("not_found", `There is no credential "${alias}"`));
  },
};

/** Puts the number of the alias into `n`. */
const renderSecrets: RenderSecrets = async ({ args }, { resolve }) => {
  const secret = await resolve("api");
  return { ...args, n: secret.reveal()["n"] };
};

const options = { credentials, renderSecrets };

test("7. a result is cleared of what its executor resolved, inline and in a blob", async () => {
  const { clock, call, run, reported, blobs } = bench({ ...options, inlineBytesMax: 200 });
  run();
  const secret = await call(0).context.credentials.resolve("api");
  expect(secret.reveal()).toEqual({ token: value, n: 7 });
  expect(asked.at(-1)).toBe("api for default");
  call(0).succeed({ headers: { authorization: `Bearer ${value}` } });
  run({}, "two");
  await call(1).context.credentials.resolve("api");
  const kept = await call(1).context.keep([value]);
  expect(await readThrough(blobs, kept)).toEqual(["[secret api]"]);
  call(1).succeed({ large: "x".repeat(300), echo: value });
  await clock.settle();
  expect(reported[0]?.attrs).toEqual({
    result: { headers: { authorization: "Bearer [secret api]" } },
  });
  const result = reported[1]?.attrs["result"] ?? null;
  expect(result).toHaveProperty("$ref");
  expect(await readThrough(blobs, result)).toEqual({
    large: "x".repeat(300),
    echo: "[secret api]",
  });
});

test("7. errors and progress are cleared before they are cut", async () => {
  const { clock, call, run, reported } = bench(options);
  run();
  await call(0).context.credentials.resolve("api");
  call(0).context.progress(1, `${"x".repeat(995)}${value}`);
  await clock.advance(1_100);
  expect(reported[0]?.attrs["message"]).toBe(`${"x".repeat(995)}[secr`);
  call(0).fail(fault("permission", `${"x".repeat(3_995)}${value}`, { sent: value }));
  await clock.settle();
  expect(reported[1]?.attrs["error"]).toEqual({
    kind: "permission",
    message: `${"x".repeat(3_995)}[secr …`,
    retryable: false,
    detail: { sent: "[secret api]" },
  });
});

test("3. arguments are checked with their secrets in place, and the report is cleared of them", async () => {
  const { clock, call, calls, run, reported } = bench(options);
  run({ args: { n: "{{ keychain.api.n }}" }, secrets: [["n"]] });
  await clock.settle();
  expect(call(0).args).toEqual({ n: 7 });
  run({ args: { n: 1, [value]: "" }, secrets: [["n"]] }, "two");
  await clock.settle();
  expect(calls).toHaveLength(1);
  expect(reported[0]?.attrs["error"]).toMatchObject({
    kind: "invalid_args",
    message: "Cannot run held as /[secret api] is not known",
  });
});

test("an attempt that is cancelled while its secrets are put in does not begin", async () => {
  let goOn = (): void => undefined;
  const { clock, calls, worker, run, reported } = bench({
    credentials,
    renderSecrets: async ({ args }) => {
      await new Promise<void>((resolve) => {
        goOn = resolve;
      });
      return args;
    },
  });
  const action = run({ secrets: [["n"]] });
  worker.cancel(action, "cancelled");
  goOn();
  await clock.settle();
  expect(calls).toEqual([]);
  expect(reported.map(({ event_type: type }) => type)).toEqual(["action.cancelled"]);
});

test("without credentials every alias is unknown, and what needs secrets put in fails", async () => {
  const { clock, call, calls, run, reported } = bench();
  run();
  await expect(call(0).context.credentials.resolve("api")).rejects.toThrow(
    'There is no credential "api": configure it in deed.yaml',
  );
  run({ secrets: [["n"]] }, "two");
  await clock.settle();
  expect(calls).toHaveLength(1);
  expect(reported[0]?.attrs["error"]).toMatchObject({
    kind: "unprocessable",
    message: "Cannot run the request as this worker puts in no secrets",
  });
});
