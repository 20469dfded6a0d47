/**
 * What a storm of playbooks does, drawn from its seed: the executions, and what is killed when. Pure.
 *
 * The playbooks are so written that a kill must not change what they end with: what may be done again promises
 * so and is tried again; of what may not, `outcome_unknown` is let pass by a rule, and the result does not
 * depend on it.
 */
import { seededRandom } from "../../src/base/random.ts";

/** What dies: the node, a process that runs Python for it, or a program that its shell tool runs. */
export type Victim = "node" | "python" | "shell";

export type PlaybookKill = {
  readonly victim: Victim;
  /** From the moment at which the node was told to start, or the last kill, milliseconds. */
  readonly afterMs: number;
};

export type PlaybookPlan = {
  /** Path of the playbook of each execution, and its input. */
  readonly runs: readonly { readonly playbook: string; readonly n: number }[];
  readonly kills: readonly PlaybookKill[];
};

const paths = ["fan", "pipeline", "cycle", "fan", "refused"] as const;

export function planPlaybooks(options: {
  readonly playbooks: number;
  readonly kills: number;
  readonly seed: number;
}): PlaybookPlan {
  const random = seededRandom(`playbooks/${String(options.seed)}`);
  const runs = Array.from({ length: options.playbooks }, (_, index) => ({
    playbook: paths[index % paths.length] ?? "fan",
    n: Math.floor(random() * 100),
  }));
  const kills = Array.from({ length: options.kills }, (): PlaybookKill => {
    const draw = random();
    const victim = draw < 0.5 ? "node" : draw < 0.8 ? "python" : "shell";
    return { victim, afterMs: Math.floor(random() * (victim === "node" ? 1_800 : 250)) };
  });
  return { runs, kills };
}

/** What may be done again is tried again, whatever became of it. */
const again = `{ policy: { rules: [{ when: "{{ output.status == 'error' }}", then: { do: retry, attempts: 50, delay: 0.05 } }] } }`;

/** What may not is left as it is where nobody knows, and tried again where it is known that nothing was done. */
const once = `{ policy: { rules: [{ when: "{{ output.status == 'error' and output.error.kind == 'outcome_unknown' }}", then: { do: continue } }, { when: "{{ output.status == 'error' }}", then: { do: retry, attempts: 50, delay: 0.05 } }] } }`;

const append = `open("effects.txt", "a").write(key + "\\n"); import time; time.sleep(0.03); result = {"done": key}`;

function python(key: string, promise: "again" | "once"): string {
  const rules = promise === "again" ? `idempotent: true, spec: ${again}` : `spec: ${once}`;
  return `{ kind: python, code: ${JSON.stringify(append)}, input: { key: "${promise}/{{ execution_id }}/${key}" }, ${rules} }`;
}

function file(path: string, workflow: string): string {
  return `apiVersion: deed/v1\nkind: Playbook\nmetadata: { name: ${path}, path: ${path} }\nworkload: { n: 0, url: "" }\nworkflow:\n${workflow}`;
}

/** A fan-out of a loop and a program, their join, a step that may not be done twice, and a sub-playbook. */
const fan = `
  - step: start
    tool: ${python("start", "again")}
    next: [{ step: left }, { step: right }]
  - step: left
    loop: { in: [3, 1, 2, 5], iterator: x, spec: { mode: parallel, max_in_flight: 2 } }
    tool: ${python("left/{{ iter.x }}", "again")}
    next: [{ step: both }]
  - step: right
    tool: { kind: shell, argv: ["./mark.sh", "again/{{ execution_id }}/right"], input: { key: "again/{{ execution_id }}/right" }, idempotent: true, spec: ${again} }
    next: [{ step: both }]
  - step: both
    tool: ${python("both", "once")}
    next: [{ step: program }]
  - step: program
    tool: { kind: shell, argv: ["./mark.sh", "once/{{ execution_id }}/program"], input: { key: "once/{{ execution_id }}/program" }, spec: ${once} }
    next: [{ step: sub }]
  - step: sub
    tool: { kind: playbook, path: pipeline, input: { n: "{{ n + 1 }}", url: "{{ url }}" } }
    next: [{ step: total }]
  - step: total
    tool: { kind: python, code: "result = {'left': left, 'sub': sub}", input: { left: "{{ left.stats }}", sub: "{{ sub }}" }, idempotent: true, spec: ${again} }
`;

/** A pipeline: what may be sent again, what fails at first, what may not be sent twice. */
const pipeline = `
  - step: start
    tool:
      - { name: put, kind: http, method: PUT, url: "{{ url }}/again/{{ execution_id }}/put", input: { key: "again/{{ execution_id }}/put" }, spec: ${again} }
      - { name: flaky, kind: python, code: "assert attempt > 1\\nresult = n * 2", input: { attempt: "{{ _attempt }}", n: "{{ n }}" }, idempotent: true, spec: ${again} }
      - { name: post, kind: http, method: POST, url: "{{ url }}/once/{{ execution_id }}/post", input: { key: "once/{{ execution_id }}/post" }, spec: ${once} }
    next: [{ step: end }]
  - step: end
    tool: { kind: noop, result: "{{ n * 3 }}" }
    next: [{ step: last }]
  - step: last
    tool: { kind: python, code: "result = n * 3", input: { n: "{{ n }}" }, idempotent: true, spec: ${again} }
`;

const cycle = `
  - step: start
    tool: ${python("round/{{ ctx.get('round') or 0 }}", "again")}
    set: { ctx.round: "{{ (ctx.get('round') or 0) + 1 }}" }
    next: { arcs: [{ step: start, when: "{{ ctx.round < 5 }}" }, { step: last }] }
  - step: last
    tool: { kind: noop, result: "{{ ctx.round }}" }
`;

/** Fails, whatever is killed: one item of its loop does. */
const refused = `
  - step: start
    loop: { in: [1, 2, 3], iterator: x, spec: { mode: parallel, max_in_flight: 3 } }
    tool: { kind: python, code: "assert x != 2\\nresult = x", input: { x: "{{ iter.x }}" }, idempotent: true }
`;

export const playbookTexts: readonly string[] = [
  file("fan", fan),
  file("pipeline", pipeline),
  file("cycle", cycle),
  file("refused", refused),
];

export const playbookFiles: Readonly<Record<string, string>> = {
  "deed.yaml": `listen: 127.0.0.1:0
executors:
  shell:
    allow: [["./mark.sh"]]
  python:
    concurrency: 4
`,
  "mark.sh": `#!/bin/sh
echo "$1" >> effects.txt
exec sleep 0.05
`,
};
