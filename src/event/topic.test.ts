import { describe, expect, test } from "vitest";
import {
  isOwnEventType,
  isReservedEventType,
  isTopic,
  topicOf,
  topicOfType,
  topics,
} from "./topic.ts";

test("the seven topics stand in the order of their numbers on disk", () => {
  expect(topics).toEqual([
    "events.normalized",
    "actions.requested",
    "actions.progress",
    "actions.result",
    "actions.dlq",
    "decisions",
    "events.dlq",
  ]);
});

// Source: contract, "Action lifecycle" and "Topics".
test.each([
  ["action.requested", "actions.requested"],
  ["action.cancel_requested", "actions.requested"],
  ["action.accepted", "actions.progress"],
  ["action.deferred", "actions.progress"],
  ["action.started", "actions.progress"],
  ["action.progress", "actions.progress"],
  ["action.retrying", "actions.progress"],
  ["action.succeeded", "actions.result"],
  ["action.failed", "actions.result"],
  ["action.cancelled", "actions.result"],
  ["action.dead_lettered", "actions.dlq"],
  ["rule.fired", "decisions"],
  ["rule.suppressed", "decisions"],
  ["timer.fired", "decisions"],
  ["event.rejected", "events.dlq"],
  ["job.failed", "events.normalized"],
  ["Anything at all", "events.normalized"],
])("%s stands in %s", (type, topic) => {
  expect(topicOf(type)).toBe(topic);
});

describe("our own types are a closed union", () => {
  const own = Object.entries(topicOfType);

  test("each has exactly one topic, and each topic of ours has a type", () => {
    for (const [type, topic] of own) {
      expect(isTopic(topic), type).toBe(true);
      expect(topicOf(type), type).toBe(topic);
    }
    expect(new Set(own.map(([, topic]) => topic))).toEqual(
      new Set(topics.filter((topic) => topic !== "events.normalized")),
    );
  });

  test("each is dotted lower case, and reserved: no observation can carry it", () => {
    for (const [type] of own) {
      expect(type).toMatch(/^[a-z]+\.[a-z_]+$/);
      expect(isOwnEventType(type)).toBe(true);
      expect(isReservedEventType(type)).toBe(true);
    }
  });

  test("what the table does not name is none of ours", () => {
    for (const type of ["job.failed", "action.", "action.succeded", "toString", "__proto__", ""]) {
      expect(isOwnEventType(type)).toBe(false);
    }
    expect(isReservedEventType("action.succeded")).toBe(true);
    expect(isReservedEventType("actions.done")).toBe(false);
    expect(isTopic("events")).toBe(false);
  });
});
