import type { Brand } from "../base/brand.ts";
import { sha256Hex } from "../base/hash.ts";

/** Decimal snowflake minted at append. Identity and rough time, never order; exceeds 2^53, so a string. */
export type EventId = Brand<string, "EventId">;

/** `act_` and 32 hex digits derived from (tenant, idempotency key): asking twice is one action. */
export type ActionId = Brand<string, "ActionId">;

/** One run of a playbook. */
export type ExecutionId = Brand<string, "ExecutionId">;

/** Who holds the lease of an attempt; a worker that starts again is another worker. */
export type WorkerId = Brand<string, "WorkerId">;

/** Position in the log, from 1. The order of things; strictly rising, not necessarily without gaps. */
export type Offset = number;

export const defaultTenant = "default";

const actionIdPattern = /^act_[0-9a-f]{32}$/;

/**
 * The id of the action that a request with this key asks for.
 *
 * The tenant's length goes in first, so no two (tenant, key) pairs share a pre-image.
 * Source: contract, "action_id".
 */
export function actionIdOf(tenant: string, idempotencyKey: string): ActionId {
  return `act_${keyHash(tenant, idempotencyKey)}` as ActionId;
}

/** 32 hex digits for (tenant, idempotency key): what the deduplication window is keyed by. */
export function keyHash(tenant: string, idempotencyKey: string): string {
  return sha256Hex(`${String(tenant.length)}:${tenant}:${idempotencyKey}`).slice(0, 32);
}

/** Reads an action id that came from outside; `undefined` where it has another form. */
export function parseActionId(text: string): ActionId | undefined {
  return actionIdPattern.test(text) ? (text as ActionId) : undefined;
}

export function eventId(text: string): EventId {
  return text as EventId;
}

export function workerId(text: string): WorkerId {
  return text as WorkerId;
}

/**
 * The id of the execution that a request with this key asks for: a decimal that fits a signed 64-bit integer,
 * as playbooks hand it to databases.
 */
export function executionIdOf(tenant: string, idempotencyKey: string): ExecutionId {
  const bits = BigInt(`0x${keyHash(tenant, idempotencyKey).slice(0, 16)}`) >> 1n;
  return bits.toString() as ExecutionId;
}

/** Reads an execution id that came from outside; `undefined` where it has another form. */
export function parseExecutionId(text: string): ExecutionId | undefined {
  const isOne = /^(0|[1-9]\d{0,18})$/.test(text) && BigInt(text) < 1n << 63n;
  return isOne ? (text as ExecutionId) : undefined;
}

export function executionId(text: string): ExecutionId {
  return text as ExecutionId;
}
