/** One call of the API. */
import type { Dispatcher } from "undici";
import type { Json, JsonObject } from "../../base/json.ts";

export type Sent = {
  readonly body?: Json;
  readonly headers?: Record<string, string>;
  /** A wait that is asked for, on top of what an answer may take, milliseconds. */
  readonly waitMs?: number;
};

/** @throws {ClientError} */
export type Send = (
  method: Dispatcher.HttpMethod,
  path: string,
  sent?: Sent,
) => Promise<JsonObject>;

export type RequestOptions = {
  /** Waits for the outcome, seconds. */
  readonly waitSec?: number;
  readonly idempotencyKey?: string;
};

/** How a request says that it waits, and which one it is. */
export function asking({ waitSec, idempotencyKey }: RequestOptions = {}): Sent {
  return {
    waitMs: (waitSec ?? 0) * 1_000,
    headers: {
      ...(waitSec === undefined ? {} : { prefer: `wait=${String(waitSec)}` }),
      ...(idempotencyKey === undefined ? {} : { "idempotency-key": idempotencyKey }),
    },
  };
}

/** A query: what is undefined or null is left out. */
export function search(query: JsonObject): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== null) {
      parameters.set(name, typeof value === "string" ? value : JSON.stringify(value));
    }
  }
  const text = parameters.toString();
  return text === "" ? "" : `?${text}`;
}
