import { expect, test } from "vitest";
import { playbook } from "../../test/core/notation.ts";
import { bindingsOf } from "./binding.ts";
import { compileProgram } from "./program.ts";

test("a binding names the roots of a tool's members and input, and no others", () => {
  const program = compileProgram(
    playbook({
      workload: { a: "{{ payload }}" },
      steps: {
        start: {
          set: { "ctx.x": "{{ other }}" },
          tool: [
            {
              name: "one",
              config: { url: "{{ base }}/{{ ctx.page }}", headers: { k: "{{ keychain.k }}" } },
              input: { n: "{{ start.n }}", b: "{{ base }}" },
              set: { "ctx.y": "{{ unseen }}" },
            },
            { name: "two", config: { code: "plain" } },
          ],
        },
      },
    }),
  );
  expect(program.ok && bindingsOf(program.value)).toEqual([
    { step: "start", task: "one", roots: ["base", "ctx", "start"] },
    { step: "start", task: "two", roots: [] },
  ]);
});
