/** The seven topics, in the order of their numbers on disk: append only. */
export const topics = [
  "events.normalized",
  "actions.requested",
  "actions.progress",
  "actions.result",
  "actions.dlq",
  "decisions",
  "events.dlq",
] as const;

export type Topic = (typeof topics)[number];

/** Every event type of our own, with the one topic that holds it. */
export const topicOfType = {
  "action.requested": "actions.requested",
  "action.cancel_requested": "actions.requested",
  "action.accepted": "actions.progress",
  "action.deferred": "actions.progress",
  "action.started": "actions.progress",
  "action.progress": "actions.progress",
  "action.retrying": "actions.progress",
  "action.succeeded": "actions.result",
  "action.failed": "actions.result",
  "action.cancelled": "actions.result",
  "action.dead_lettered": "actions.dlq",
  "action.redriven": "actions.dlq",
  "action.discarded": "actions.dlq",
  "approval.answered": "actions.progress",
  "timer.fired": "decisions",
  "playbook.registered": "decisions",
  "playbook.pinned": "decisions",
  "playbook.unpinned": "decisions",
  "execution.requested": "decisions",
  "execution.cancel_requested": "decisions",
  "execution.paused": "decisions",
  "execution.resumed": "decisions",
  "execution.started": "decisions",
  "execution.completed": "decisions",
  "execution.failed": "decisions",
  "execution.cancelled": "decisions",
  "step.skipped": "decisions",
  "step.completed": "decisions",
  "step.failed": "decisions",
  "loop.started": "decisions",
  "task.decided": "decisions",
  "rule.activated": "decisions",
  "rule.deactivated": "decisions",
  "rule.fired": "decisions",
  "rule.suppressed": "decisions",
  "rule.failed": "decisions",
  "schedule.activated": "decisions",
  "schedule.deactivated": "decisions",
  "schedule.fired": "decisions",
  "schedule.skipped": "decisions",
  "schedule.failed": "decisions",
  "worker.started": "decisions",
  "worker.lost": "decisions",
  "source.position": "decisions",
  "event.rejected": "events.dlq",
} as const satisfies Record<string, Topic>;

/** The closed union of our own event types. Observations carry any other name. */
export type OwnEventType = keyof typeof topicOfType;

const reservedPrefixes = [
  "action.",
  "timer.",
  "rule.",
  "schedule.",
  "worker.",
  "source.",
  "event.",
  "execution.",
  "step.",
  "loop.",
  "task.",
  "machine.",
  "shadow.",
  "approval.",
  "playbook.",
];

export function isOwnEventType(eventType: string): eventType is OwnEventType {
  return Object.hasOwn(topicOfType, eventType);
}

/** Where an event belongs: ours by the table, every observation in `events.normalized`. */
export function topicOf(eventType: string): Topic {
  return isOwnEventType(eventType) ? topicOfType[eventType] : "events.normalized";
}

/** True where an observation may not carry this name, as our own deciders and executors write it. */
export function isReservedEventType(eventType: string): boolean {
  return reservedPrefixes.some((prefix) => eventType.startsWith(prefix));
}

const topicSet: ReadonlySet<string> = new Set(topics);

export function isTopic(text: string): text is Topic {
  return topicSet.has(text);
}
