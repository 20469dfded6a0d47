/** What playbooks of the field say, in words of our own: each kind of template that is used there, and its value. */
import { describe, expect, test } from "vitest";
import type { Json, JsonObject } from "../../base/json.ts";
import { compileCondition, compileTemplate, compileValue, scopeOf } from "../template.ts";

const scope: JsonObject = {
  execution_id: "7205913331785728001",
  workload: { page_limit: "25", regions: ["north", "south"], retry_wait: 5, finished: false },
  base_url: "http://catalog.test",
  region: "north",
  rows_wanted: 1_200,
  debug: "True",
  ctx: { cursor: 40, region_id: "7", page: "3", more: true, note: "it's late" },
  iter: {
    order: { id: "12", label: "O'Neil", lines: [{ sku: "a" }] },
    ok: true,
    body: { name: "D'Arc", n: 1 },
    kind: "refund",
    batch: [],
    failure: null,
  },
  output: {
    status: "error",
    http: { status: 429 },
    error: { kind: "rate_limit", message: "Connection reset by peer", retryable: true },
    data: {
      rows: [{ found: "4", left: 0, done: true }],
      row_count: 1,
      data: { rows: [1, 2], paging: { hasMore: true, page: 2 } },
    },
  },
  event: { name: "loop.done" },
  prepare: {
    columns: ["id", "name"],
    rows: [
      [1, "x"],
      [2, "y"],
    ],
    has_rows: true,
    items: [1, 2],
    n: 2,
  },
  shape: { results: { build: { items: [9] }, check: { more: true } } },
  probe: { data: { current: { temperature: 21.5 } }, status_code: 200 },
  summary: { complete: true },
  slot: 3,
  job: { uuid: "u-1" },
};

const lenient: readonly (readonly [string, Json])[] = [
  ["{{ execution_id }}", "7205913331785728001"],
  ["{{ workload }}", scope["workload"] ?? null],
  ["{{ workload.regions }}", ["north", "south"]],
  [
    "{{ base_url }}/v1/{{ region }}/orders?limit={{ workload.page_limit | int }}",
    "http://catalog.test/v1/north/orders?limit=25",
  ],
  ["{{ ctx.region_id | int }}", 7],
  ["{{ (ctx.page | int) + 1 }}", 4],
  ["{{ ctx.cursor | default(0) | int }}", 40],
  ["{{ ctx.no_cursor | default(0) | int }}", 0],
  ["{{ __rows_max | default(1) | int }}", 1],
  ["{{ (lanes | default(1) | int) or 1 }}", 1],
  ["{{ (lanes | default(0) | int) or 1 }}", 1],
  ["{{ iter.order.id | int }}", 12],
  ["{{ iter.order.lines[0].sku }}", "a"],
  ['{{ iter.order.label | replace("\'", "\'\'") }}', "O''Neil"],
  ['{{ iter.body | tojson | replace("\'", "\'\'") }}', '{"n": 1, "name": "D\\u0027Arc"}'],
  ["select $tag${{ iter.batch | tojson }}$tag$::jsonb", "select $tag$[]$tag$::jsonb"],
  ["'{{ iter.body | tojson }}'::jsonb", '\'{"n": 1, "name": "D\\u0027Arc"}\'::jsonb'],
  ['{{ iter.failure | default("http_error") | string | replace("\'", "\'\'") }}', "None"],
  ['{{ iter.no_failure | default("http_error") | string | replace("\'", "\'\'") }}', "http_error"],
  ["{{ 'true' if iter.ok | string | lower == 'true' else 'false' }}", "true"],
  ["{{ 'true' if iter.batch else 'false' }}", "false"],
  ["{% if iter.kind == 'order' %}o{% elif iter.kind == 'refund' %}r{% else %}?{% endif %}", "r"],
  [
    "{% for row in prepare.rows %}({{ row[0] }}, '{{ row[1] | tojson | replace(\"'\", \"''\") }}'){% if not loop.last %}, {% endif %}{% endfor %}",
    "(1, '\"x\"'), (2, '\"y\"')",
  ],
  ["{{ prepare.columns is defined }}", true],
  ["{{ prepare._ref is defined }}", false],
  ["{{ prepare._ref }}", null],
  ["{{ prepare._store | default('none') }}", "none"],
  ["{{ prepare.rows | length }}", 2],
  ["{{ prepare.rows[1][0] }}", 2],
  ["{{ prepare.rows[1100] }}", null],
  ["{{ prepare.items }}", [1, 2]],
  ["{{ shape.results.build.items or [1, 2, 3] }}", [9]],
  ["{{ shape.results.gone.items or [1, 2, 3] }}", [1, 2, 3]],
  ["{{ output.data.data.paging.hasMore | lower }}", "true"],
  ["{{ output.data.data.rows | length }}", 2],
  ["{{ output.http.status | default(200) }}", 429],
  ['{{ output.error | default("http_error") }}', (scope["output"] as JsonObject)["error"] ?? null],
  [
    "{{ output.data.rows[0].found if (output.data.row_count | default(0) | int) > 0 else (ctx.region_id | default(0)) }}",
    "4",
  ],
  [
    "{{ output.data.rows[0].found if (output.data.none | default(0) | int) > 0 else (ctx.region_id | default(0)) }}",
    "7",
  ],
  ["{{ (output.data.rows | default(output.data) | first).done | string | lower }}", "true"],
  ["{{ probe.data.current.temperature | default(0) }}", 21.5],
  ["{{ gone.data.current.temperature | default(0) }}", 0],
  ["{{ gone | default({}) }}", {}],
  [
    "{{ gone | default({'name': 'none', 'age': 30, 'score': 4.0}) }}",
    { name: "none", age: 30, score: 4 },
  ],
  ["{{ ctx.note | default('No note') }}", "it's late"],
  ["report-{{ slot }}-{{ job.uuid }}.json", "report-3-u-1.json"],
  ["{{ gone }}", null],
  ["value: {{ gone }}.", "value: ."],
  [
    'rows = {{ rows_wanted }}\ndef main():\n    return {"n": {{ prepare.n }}}\n',
    'rows = 1200\ndef main():\n    return {"n": 2}',
  ],
  ["{{ true }}", true],
  ["{{ output.data.rows[0].left }}", 0],
];

const conditions: readonly (readonly [string, boolean])[] = [
  ["{{ true }}", true],
  ["{{ output.status == 'error' }}", true],
  ["output.status == 'error'", true],
  ['{{ output.status == "error" and (output.http.status in [429, 500, 502, 503, 504]) }}', true],
  ["{{ output.status == 'error' and output.http.status in [400, 404] }}", false],
  [
    "{{ output.status == 'error' and (output.error.retryable or (output.error.message is defined and ('Connection reset' in output.error.message or 'timed out' in output.error.message))) }}",
    true,
  ],
  ["{{ output.error.kind == 'rate_limit' }}", true],
  ["{{ output.error.retryable and output.error.kind == 'server_error' }}", false],
  ['{{ event.name == "loop.done" }}', true],
  ["{{ event.name == 'call.done' }}", false],
  ['{{ (prepare.has_rows | string | lower) == "true" }}', true],
  ['{{ prepare.has_rows | string | lower == "true" }}', true],
  ["{{ prepare.has_rows == true }}", true],
  ["{{ ctx.more != true }}", false],
  ["{{ ctx.less != true }}", true],
  ["{{ not (summary.complete | default(false)) }}", false],
  ["{{ not (gone.complete | default(false)) }}", true],
  ['{{ summary.complete and (debug | string | lower) == "true" }}', true],
  ["{{ (output.data.rows[0].found | int) > 0 }}", true],
  [
    "{{ (output.data.rows[0].left | int) == 0 and (output.data.rows[0].found | int) == 0 and (output.data.rows[0].waiting | int) > 0 }}",
    false,
  ],
  [
    "{{ ((output.data.rows[0].left | int) + (output.data.rows[0].found | int) + (output.data.rows[0].waiting | int)) > 0 }}",
    true,
  ],
  ["{{ (output.data.rows[0].none | default(0) | int) < (workload.page_limit | int) }}", true],
  [
    '{{ ((output.data.rows | default(output.data) | first).done | string | lower) != "true" }}',
    false,
  ],
  ["{{ shape.results.check.more == true }}", true],
  ["{{ gone.more == true }}", false],
  ["{{ enabled }}", false],
  ["gone.rows and gone.rows[0]", false],
];

describe("templates of the field", () => {
  test.each(lenient)("%s", (template, expected) => {
    const compiled = compileTemplate(template, "lenient");
    const result = compiled.ok ? compiled.value.render(scopeOf(scope)) : compiled;
    expect(result).toEqual({ ok: true, value: expected });
  });

  test.each(conditions)("when %s", (condition, holds) => {
    const compiled = compileCondition(condition, "lenient");
    const result = compiled.ok ? compiled.value.render(scopeOf(scope)) : compiled;
    expect(result).toEqual({ ok: true, value: holds });
  });

  test("all of them are the strings of one value, too", () => {
    const compiled = compileValue(
      lenient.map(([template]) => template),
      "lenient",
    );
    const result = compiled.ok ? compiled.value.render(scopeOf(scope)) : compiled;
    expect(result).toEqual({ ok: true, value: lenient.map(([, expected]) => expected) });
  });
});
