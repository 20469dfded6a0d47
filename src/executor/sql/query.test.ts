import { expect, test } from "vitest";
import { faultOf } from "../executor-contract.ts";
import type { Scripts } from "../script.ts";
import { queryOf } from "./query.ts";

const scripts: Scripts = {
  load: (script) => Promise.resolve(`SELECT '${String(script.uri)}', :n`),
};

const { signal } = new AbortController();

test("a query is what the call holds, or the script that it names, its parameters beside it", async () => {
  const own = await queryOf({ query: "SELECT 1" }, { scripts, signal });
  expect(own).toEqual({
    written: "SELECT 1",
    bound: { text: "SELECT 1", values: [], rewritten: false },
  });
  const loaded = await queryOf({ script: { uri: "a.sql" }, params: { n: 7 } }, { scripts, signal });
  expect(loaded.written).toBe("SELECT 'a.sql', :n");
  expect(loaded.bound).toMatchObject({
    text: "SELECT 'a.sql', $1",
    values: [{ value: 7, json: false }],
  });
});

test("neither, both, a NUL, or a script where none is loaded is refused", async () => {
  const on = { scripts, signal };
  const neither = await faultOf(queryOf({}, on));
  expect(neither.message).toBe("Cannot run SQL: give it as query, or name a script");
  const both = await faultOf(queryOf({ query: "SELECT 1", script: { uri: "a.sql" } }, on));
  expect(both.kind).toBe("invalid_args");
  expect((await faultOf(queryOf({ query: "SELECT '\0'" }, on))).kind).toBe("invalid_args");
  const none = queryOf({ script: { uri: "a.sql" } }, { scripts: undefined, signal });
  expect((await faultOf(none)).kind).toBe("permission");
});
