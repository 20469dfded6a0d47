import { expect, it } from "vitest";
import { told } from "./told.ts";

const event = (event_type: string, attrs: { readonly [name: string]: string | boolean }) => ({
  event_type,
  event_id: "1",
  ts: "2026-01-01T00:00:00.000Z",
  entity_id: "playbook:a",
  attrs,
});

it("tells what a deferred action waits for: a person, a limit with its holders, or the reason", () => {
  const deferred = (attrs: { readonly [name: string]: string }): string =>
    told(event("action.deferred", attrs));
  expect(deferred({ reason: "approval" })).toBe("until a person answers (deed approve)");
  expect(deferred({ reason: "limit", limit_key: "db", holders: "act_1" })).toBe(
    "limit db held by act_1",
  );
  expect(deferred({ reason: "no_executor" })).toBe("no_executor");
});

it("tells who answered an approval, how and why", () => {
  const answered = (attrs: { readonly [name: string]: string | boolean }): string =>
    told(event("approval.answered", attrs));
  expect(answered({ approved: true, by: "ada" })).toBe("approved by ada");
  expect(answered({ approved: false, by: "ada", reason: "not now" })).toBe(
    "refused by ada: not now",
  );
});
