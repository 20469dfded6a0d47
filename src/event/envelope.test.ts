import { expect, test } from "vitest";
import { partitionKeyOf, tenantOf, type NewEvent } from "./envelope.ts";
import { executionId } from "./ids.ts";

const event: NewEvent = {
  ts: "2026-11-24T05:00:00.000Z",
  event_type: "job.failed",
  entity_id: "job:etl",
  source: { system: "cron", ns: {} },
  tags: {},
  attrs: {},
};

test("an event belongs to the tenant that its tags name, else to the default one", () => {
  expect(tenantOf(event)).toBe("default");
  expect(tenantOf({ tags: { tenant: "acme" } })).toBe("acme");
  expect(tenantOf({ tags: { tenant: 7 } })).toBe("default");
});

test("a log keeps in order what is of one execution, else what is of one entity", () => {
  expect(partitionKeyOf(event)).toBe("job:etl");
  expect(partitionKeyOf({ ...event, execution_id: executionId("exe_1") })).toBe("exe_1");
});
