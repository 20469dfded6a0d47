/** Playbooks for tests, and ways to read them. */
import { lintText } from "../../src/core/lint.ts";
import { formatFinding, parsePlaybook } from "../../src/core/parse.ts";
import type { Playbook, Step, Task } from "../../src/core/playbook.ts";

export const head = "apiVersion: noetl.io/v2\nkind: Playbook\nmetadata: {name: p}\n";

export function parsed(text: string): Playbook {
  const result = parsePlaybook(text, "p.yaml");
  if (!result.ok) throw new Error(result.error.map(formatFinding).join("\n"));
  return result.value.playbook;
}

/** The findings of a file that is refused. */
export function refusal(text: string): readonly string[] {
  const result = parsePlaybook(text, "p.yaml");
  return result.ok ? ["parsed"] : result.error.map(formatFinding);
}

/** The one step of a playbook whose step has these members. */
export function step(members: string, rest = ""): Step {
  const lines = members.split("\n").map((line) => `    ${line}`);
  const [first] = parsed(
    `${head}workflow:\n  - step: start\n${lines.join("\n")}\n  - {step: end, tool: {kind: noop}}\n${rest}`,
  ).steps;
  if (first === undefined) throw new Error("no step");
  return first;
}

/** The one task of a step whose tool has these members. */
export function task(members: string, rest = ""): Task {
  const [only] = step(`tool:\n${members.replaceAll(/^/gm, "  ")}`, rest).tasks;
  if (only === undefined) throw new Error("no task");
  return only;
}

/** The findings of a file. */
export const found = (text: string): readonly string[] =>
  lintText(text, "p.yaml").map(formatFinding);

/** What the linter says of these steps, without the file's name. */
export function of(workflow: string, rest = ""): readonly string[] {
  return found(`${head}workflow:\n${workflow}\n${rest}`).map((line) => line.replace("p.yaml:", ""));
}

/** The last step of most playbooks here. */
export const end = "  - {step: end, tool: {kind: noop}}";

/** One step with these members, and an `end` that it leads to. */
export function inStep(members: string, rest = ""): readonly string[] {
  const indented = members.replaceAll(/^/gm, "    ");
  return of(`  - step: start\n${indented}\n${end}`, rest);
}

/** A playbook in which the linter finds nothing, with most of the format in it: for tests. */
export const valid = `apiVersion: noetl.io/v2
kind: Playbook
metadata:
  name: invoices
  path: finance/invoices
  description: Collects invoices and posts them
workload:
  api_url: http://invoices.example
  customers: [north, south]
  batch: 20
keychain:
  - name: ledger
    kind: postgres
timeout: 2h
output: "{{ report }}"
workbook:
  - name: total
    tool:
      kind: python
      code: |
        result = {"total": sum(row["amount"] for row in rows)}
workflow:
  - step: start
    desc: Look whether there is work
    tool:
      kind: noop
    set:
      ctx.round: 1
    next:
      spec: {mode: exclusive, on_no_match: fail}
      arcs:
        - step: collect
          when: "{{ customers | length > 0 }}"
        - step: report
  - step: collect
    loop:
      in: "{{ customers }}"
      iterator: customer
      spec: {mode: parallel, max_in_flight: 4}
    timeout: 10m
    tool:
      - name: fetch
        kind: http
        method: GET
        url: "{{ api_url }}/{{ customer }}"
        params: {limit: "{{ batch }}"}
        timeout: 30
        spec:
          policy:
            rules:
              - when: "{{ output.status == 'error' and output.error.retryable }}"
                then: {do: retry, attempts: 4, backoff: exponential, delay: 0.5, max_delay: 20}
              - when: "{{ output.data.rows | default([]) | length == 0 }}"
                then: {do: break}
              - else:
                  then:
                    do: continue
                    set: {iter.rows: "{{ output.data.rows }}"}
      - name: sum
        kind: workbook
        task: total
        input: {rows: "{{ iter.rows }}"}
        set: {sum_of: "{{ output.total }}"}
      - name: store
        kind: postgres
        auth: ledger
        query: |
          INSERT INTO invoices (customer, total)
          VALUES ('{{ customer }}', {{ sum_of | default(0) }})
    next:
      arcs:
        - step: drain
          when: "{{ event.name == 'loop.done' }}"
          set: {ctx.round: "{{ ctx.round + 1 }}"}
  - step: drain
    loop:
      cursor: {kind: postgres, auth: ledger, claim: "SELECT * FROM todo LIMIT 10"}
      iterator: row
      spec:
        mode: cursor
        max_in_flight: 2
        frame: {max_rows: 10, process: row}
    tool:
      - kind: playbook
        path: finance/post
        return_step: end
        input: {id: "{{ row.id }}", key: "{{ keychain.ledger }}"}
    output: "{{ output.data.stats }}"
    next: [report]
  - step: report
    spec:
      policy:
        admit:
          rules:
            - when: "{{ ctx.round < 10 }}"
              then: {allow: true}
            - else: {then: {allow: false}}
    tool:
      kind: python
      input: {stats: "{{ drain.total | default(0) }}"}
      code: 'result = {"done": stats}'
`;
