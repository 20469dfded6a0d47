import { expect, test } from "vitest";
import { contextOf, executorContract } from "../executor-contract.ts";
import { createNoop } from "./noop.ts";

executorContract(
  "noop",
  () =>
    Promise.resolve({
      executor: createNoop(),
      works: { args: { result: { a: [1, null] }, payload: "x" }, result: { a: [1, null] } },
      fails: [],
      promises: [{ args: {}, idempotent: true }],
      close: () => Promise.resolve(),
    }),
  "instant",
);

test("without a result it gives back null", async () => {
  expect(await createNoop().execute({ payload: 1, input: { a: 1 } }, contextOf())).toBeNull();
});
