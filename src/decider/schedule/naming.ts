/** The names that a schedule gives: they are what makes one slot one start. */
import { timestamp } from "../../base/clock.ts";

/** Tags of what a schedule asks for; the lifecycle repeats them. */
export const scheduleTag = "schedule";

export const slotTag = "slot";

/** The idempotency key of what a slot starts. */
export function scheduledKey(name: string, slotMs: number): string {
  return `schedule/${name}/${timestamp(slotMs)}`;
}

/** Joins all that slots of one minute caused, over all schedules. Source: contract, "correlation_id". */
export function slotCorrelation(slotMs: number): string {
  return `slot:${timestamp(slotMs).slice(0, "2026-11-24T05:00".length)}Z`;
}
