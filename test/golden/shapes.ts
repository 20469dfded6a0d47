/** The shapes whose histories are kept: what is decided about them may only change on purpose. */
import type { Json } from "../../src/base/json.ts";
import { deedError } from "../../src/event/error.ts";
import type { Playbook } from "../../src/core/playbook.ts";
import type { ScriptedOutcome, WorldInput } from "../../src/core/scripted-world.ts";
import { playbook } from "../core/notation.ts";

export type Shape = {
  readonly playbook: Playbook;
  readonly children?: readonly Playbook[];
  readonly payload?: { readonly [name: string]: Json };
  readonly inputs?: readonly WorldInput[];
  readonly seed?: string;
  /** By task, then by attempt: the last one stands for all that follow. Default: `{of: <task>, item}`. */
  readonly tools?: { readonly [task: string]: readonly ScriptedOutcome[] };
};

const gives = (result: Json, afterMs?: number): ScriptedOutcome => ({
  does: "succeed",
  result,
  ...(afterMs === undefined ? {} : { afterMs }),
});
const fails = (status: number): ScriptedOutcome => ({
  does: "fail",
  error: deedError("unavailable", `HTTP ${String(status)}`, { status }),
});
const hangs: ScriptedOutcome = { does: "hang" };
const child: Playbook = {
  ...playbook({
    steps: {
      start: { tool: { input: { n: "{{ n }}" } }, next: "end" },
      end: { tool: { kind: "noop" } },
    },
    output: { doubled: "{{ start.n * 2 }}" },
  }),
  path: "child",
};

export const shapes: { readonly [name: string]: Shape } = {
  linear: {
    playbook: playbook({
      workload: { name: "world", text: "hello {{ name }}" },
      steps: {
        start: { tool: { kind: "noop" }, next: "greet" },
        greet: {
          tool: { input: { text: "{{ text }}", id: "{{ execution_id }}" } },
          set: { "ctx.said": "{{ output.data.text }}" },
          next: "end",
        },
        end: { tool: { kind: "noop" } },
      },
    }),
    payload: { name: "deed" },
    tools: { greet: [gives({ text: "hi", n: 1 })] },
  },
  branch: {
    playbook: playbook({
      steps: {
        start: {
          next: [
            { to: "hot", when: "{{ output.data.t > 25 }}", set: { "ctx.why": "{{ start.t }}" } },
            { to: "warm", when: "output.data.t > 15" },
            "cold",
          ],
        },
        hot: { next: "end" },
        warm: { next: "end" },
        cold: { next: "end" },
        end: {},
      },
    }),
    tools: { start: [gives({ t: 20 })] },
  },
  "inclusive-join": {
    playbook: playbook({
      steps: {
        start: { mode: "inclusive", next: ["a", "b", { to: "c", when: "false" }] },
        a: { next: { to: "join", set: { "iter.from_a": "{{ a.of }}" } } },
        b: { next: { to: "join", set: { "iter.from_b": "{{ b.of }}" } } },
        c: { next: "join" },
        join: { tool: { input: { both: "{{ iter }}", b: "{{ b }}" } } },
      },
    }),
    tools: { a: [gives({ of: "a" }, 30)], b: [gives({ of: "b" }, 20)] },
  },
  "dead-path": {
    playbook: playbook({
      steps: {
        start: { mode: "inclusive", next: ["left", "right"] },
        left: { next: [{ to: "deep", when: "{{ output.data.go }}" }] },
        deep: { next: "join" },
        right: { next: "join" },
        join: {},
      },
    }),
    tools: { left: [gives({ go: false }, 50)], right: [gives({ go: true }, 10)] },
  },
  cycle: {
    playbook: playbook({
      steps: {
        start: {
          set: { "ctx.page": "{{ (ctx.page | default(0)) + 1 }}" },
          next: [{ to: "start", when: "{{ ctx.page < 3 }}" }, "end"],
        },
        end: { tool: { input: { pages: "{{ ctx.page }}" } } },
      },
    }),
  },
  "loop-sequential": {
    playbook: playbook({
      steps: {
        start: {
          loop: { in: "{{ workload.items }}", as: "row", mode: "sequential" },
          tool: {
            input: { row: "{{ row }}", at: "{{ iter._index }}", of: "{{ iter._total }}" },
            set: { "ctx.last": "{{ output.item }}" },
          },
          next: [{ to: "end", when: "{{ event.name == 'loop.done' }}" }],
        },
        end: { tool: { input: { results: "{{ start.results }}", last: "{{ ctx.last }}" } } },
      },
      workload: { items: ["x", "y", "z"] },
    }),
  },
  "loop-parallel": {
    playbook: playbook({
      steps: {
        start: {
          loop: { in: { a: 1, b: 2, c: 3, d: 4, e: 5 }, mode: "parallel", max: 2 },
          tool: {
            input: { key: "{{ item.key }}", value: "{{ item.value }}" },
            rules: [{ when: "{{ output.status == 'error' }}", do: "continue" }],
          },
          next: "end",
        },
        end: { tool: { input: { stats: "{{ start.stats }}" } } },
      },
    }),
    seed: "parallel",
    tools: { start: [gives({ ok: 1 })], "start/2": [fails(500)] },
  },
  "loop-cursor": {
    playbook: playbook({
      steps: {
        start: {
          loop: { as: "row", max: 2, cursor: { query: "claim {{ workload.batch }}", rows: 2 } },
          tool: { input: { id: "{{ row.id }}" } },
          next: "end",
        },
        end: {},
      },
      workload: { batch: 7 },
    }),
    tools: {
      "claim/claim-1": [gives({ rows: [{ id: 1 }, { id: 2 }] })],
      "claim/claim-2": [gives({ rows: [{ id: 3 }] })],
      claim: [gives({ rows: [] })],
    },
  },
  "pipeline-policies": {
    playbook: playbook({
      steps: {
        start: {
          tool: [
            {
              name: "fetch",
              kind: "http",
              config: { url: "http://example.test/{{ ctx.page | default(1) }}" },
              rules: [
                {
                  when: "{{ output.error.retryable }}",
                  do: "retry",
                  attempts: 3,
                  backoff: "linear",
                  delay: 2,
                },
                { when: "{{ output.status == 'error' }}", do: "fail" },
              ],
            },
            {
              name: "keep",
              input: { body: "{{ output.data.body }}", status: "{{ fetch.status_code }}" },
              set: { "iter.kept": "{{ output.of }}" },
              rules: [
                {
                  when: "{{ (iter.rounds | default(0)) < 1 }}",
                  do: "jump",
                  to: "fetch",
                  set: { "iter.rounds": 1, "ctx.page": 2 },
                },
                { when: "{{ output.data.of == 'keep' }}", do: "break" },
              ],
            },
            { name: "never" },
          ],
          next: "end",
        },
        end: { tool: { input: { fetched: "{{ start.results.fetch.body }}" } } },
      },
    }),
    tools: {
      fetch: [fails(503), gives({ status_code: 200, headers: {}, data: { a: 1 }, body: { a: 1 } })],
    },
  },
  retry: {
    playbook: playbook({
      steps: {
        start: {
          tool: {
            timeout: 5,
            rules: [
              {
                when: "{{ output.status == 'error' }}",
                do: "retry",
                attempts: 4,
                backoff: "exponential",
                delay: 1,
                delayMax: 3,
                set: { "ctx.tried": "{{ output.attempt }}" },
              },
            ],
          },
          next: "end",
        },
        end: { tool: { input: { tried: "{{ ctx.tried }}" } } },
      },
    }),
    tools: { start: [fails(500), hangs, fails(502), gives("at last")] },
  },
  "failure-drain": {
    playbook: playbook({
      steps: {
        start: { mode: "inclusive", next: ["bad", "slow", "also_bad"] },
        bad: { next: "end" },
        slow: { next: "end" },
        also_bad: { next: "end" },
        end: {},
      },
    }),
    tools: {
      bad: [{ ...fails(500), afterMs: 10 }],
      slow: [gives({ done: true }, 100)],
      also_bad: [{ ...fails(404), afterMs: 50 }],
    },
  },
  cancel: {
    playbook: playbook({
      steps: {
        start: { mode: "inclusive", next: ["a", "b"] },
        a: { next: "end" },
        b: { loop: { in: [1, 2, 3], mode: "parallel", max: 2 }, next: "end" },
        end: {},
      },
    }),
    inputs: [{ afterMs: 500, type: "execution.cancel_requested", reason: "enough" }],
    tools: { a: [hangs], b: [{ ...gives("too late", 600), cancel: "ignored" }] },
  },
  "sub-playbook": {
    playbook: playbook({
      steps: {
        start: {
          loop: { in: [1, 2], as: "n", mode: "parallel" },
          tool: { kind: "playbook", config: { path: "child" }, input: { n: "{{ n }}" } },
          next: "end",
        },
        end: { tool: { input: { results: "{{ start.results }}" } } },
      },
    }),
    children: [child],
    tools: { start: [gives({ n: 21 })] },
  },
  "sub-playbook-fails": {
    playbook: playbook({
      steps: {
        start: { tool: { kind: "playbook", config: { path: "child" } }, next: "end" },
        end: {},
      },
    }),
    children: [child],
    tools: { start: [fails(500)] },
  },
  "step-timeout": {
    playbook: playbook({
      steps: {
        start: { mode: "inclusive", next: ["slow", "other"] },
        slow: { timeoutMs: 3_000, next: "end" },
        other: { next: "end" },
        end: {},
      },
    }),
    tools: { slow: [hangs], other: [gives({ ok: 1 }, 3_500)] },
  },
  "execution-timeout": {
    playbook: playbook({ timeoutMs: 2_000, steps: { start: { next: "end" }, end: {} } }),
    tools: { end: [hangs] },
  },
  pause: {
    playbook: playbook({ steps: { start: { next: "end" }, end: {} } }),
    inputs: [
      { afterMs: 5, type: "execution.paused" },
      { afterMs: 60_000, type: "execution.resumed" },
    ],
  },
  "template-error": {
    playbook: playbook({
      strict: true,
      steps: {
        start: { next: "end" },
        end: { tool: { input: { text: "{{ start.nowhere.deeper }}" } } },
      },
    }),
  },
  "admit-and-output": {
    playbook: playbook({
      steps: {
        start: { mode: "inclusive", next: ["maybe", "sure"] },
        maybe: {
          admit: [{ when: "{{ workload.all }}", allow: true }, { allow: false }],
          next: "end",
        },
        sure: {
          output: { of: "{{ output.data.of }}", status: "{{ output.status }}" },
          next: "end",
        },
        end: { tool: { kind: "noop" } },
      },
      workload: { all: false },
      output: { sure: "{{ sure }}", maybe: "{{ maybe is defined }}" },
    }),
  },
};
