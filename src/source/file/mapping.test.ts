import { expect, test } from "vitest";
import { mapLine, type LineMapping } from "./mapping.ts";

const given = { source: { system: "file", ns: { component: "jobs" } }, idempotencyKey: "file/1" };

const mapping: LineMapping = {
  event_type: "job.${status}",
  entity_id: "job:${job.id}",
  ts: "$.at",
  correlation_id: "$.run",
  tags: { shard: "$.job.shard", label: "${job.id}/${status}", absent: "$.no.such" },
};

const line = {
  status: "failed",
  job: { id: "a", shard: 3 },
  at: "2026-11-24T05:00:00+01:00",
  run: "r1",
};

test("each member is a path or a text with paths in it; the line is attrs; times become UTC", () => {
  expect(mapLine(JSON.stringify(line), { ...given, mapping })).toEqual({
    ok: true,
    value: {
      ts: "2026-11-24T04:00:00.000Z",
      event_type: "job.failed",
      entity_id: "job:a",
      correlation_id: "r1",
      idempotency_key: "file/1",
      source: given.source,
      tags: { shard: 3, label: "a/failed" },
      attrs: line,
    },
  });
});

test("without a mapping the line is the envelope, and its own key wins", () => {
  const own = {
    ts: "2026-11-24T05:00:00.000Z",
    event_type: "job.done",
    entity_id: "job:a",
    idempotency_key: "mine",
  };
  expect(mapLine(JSON.stringify(own), given)).toEqual({
    ok: true,
    value: { ...own, source: given.source, tags: {}, attrs: {} },
  });
});

test.each([
  ["{", /^the line is not JSON: /],
  ["[1]", /^the line is not a JSON object$/],
  ["null", /^the line is not a JSON object$/],
  [JSON.stringify({ ...line, job: {} }), /^the line has no job.id, which entity_id is made of$/],
  [
    JSON.stringify({ ...line, status: null }),
    /^the line has no status, which event_type is made of$/,
  ],
  [JSON.stringify({ ...line, at: undefined }), /^the line has no at, which ts is made of$/],
  [
    JSON.stringify({ ...line, run: undefined }),
    /^the line has no run, which correlation_id is made of$/,
  ],
  [JSON.stringify({ ...line, at: "yesterday" }), /^Cannot accept the event as \/ts /],
  [JSON.stringify({ ...line, at: 5 }), /^Cannot accept the event as \/ts /],
  [JSON.stringify({ ...line, run: 7 }), /^Cannot accept the event as \/correlation_id /],
])("%s is refused with the reason", (text, reason) => {
  const mapped = mapLine(text, { ...given, mapping });
  expect(mapped.ok).toBe(false);
  expect(mapped.ok ? "" : mapped.error).toMatch(reason);
});

test("a reserved event type is refused", () => {
  const mapped = mapLine(JSON.stringify(line), {
    ...given,
    mapping: { ...mapping, event_type: "action.${status}" },
  });
  expect(mapped.ok ? "" : mapped.error).toMatch(/"action.failed" is reserved/);
});

test("inherited names are no members of the line", () => {
  const mapped = mapLine("{}", { ...given, mapping: { ...mapping, ts: "$.constructor.name" } });
  expect(mapped.ok ? "" : mapped.error).toMatch(/^the line has no constructor.name/);
});
