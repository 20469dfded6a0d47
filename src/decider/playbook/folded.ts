import type { DeedEvent } from "../../event/envelope.ts";

export const playbookDeciderName = "playbook";

/** Timers of actions, too, carry the execution: only those of this decider are its own. */
export function isFolded({ event_type: type, attrs }: DeedEvent): boolean {
  return type === "timer.fired" ? attrs["decider"] === playbookDeciderName : folded.has(type);
}

/** What the core folds; of an action's life, only that it was asked for, is to be cancelled, and ended. */
const folded: ReadonlySet<string> = new Set([
  "execution.requested",
  "execution.cancel_requested",
  "execution.paused",
  "execution.resumed",
  "execution.started",
  "execution.completed",
  "execution.failed",
  "execution.cancelled",
  "step.skipped",
  "step.completed",
  "step.failed",
  "loop.started",
  "task.decided",
  "action.requested",
  "action.cancel_requested",
  "action.succeeded",
  "action.failed",
  "action.cancelled",
]);
