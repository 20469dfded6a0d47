/** What the status of an answer that was not expected means. */
import type { ErrorKind } from "../../event/error.ts";

const kinds: { readonly [status: number]: ErrorKind | undefined } = {
  400: "invalid_args",
  401: "permission",
  403: "permission",
  404: "not_found",
  408: "timeout",
  409: "conflict",
  410: "not_found",
  412: "conflict",
  422: "unprocessable",
  425: "unavailable",
  429: "rate_limited",
};

export function kindOfStatus(status: number): ErrorKind {
  return kinds[status] ?? (status >= 500 ? "unavailable" : "executor_error");
}

/** With these the server says that it did not do it. */
const notDone = new Set([408, 425, 429, 503]);

/** Any other 5xx may come from half-way: only an idempotent call is sent again. */
export function retryableStatus(status: number, idempotent: boolean): boolean {
  return notDone.has(status) || (idempotent && status >= 500);
}

/** No server holds a call back for longer, milliseconds. */
const retryAfterMsMax = 24 * 3_600_000;

const httpDate = /^[A-Z][a-z]{2,8}, .+ GMT$/;

/** `Retry-After` as seconds or as an HTTP date (RFC 9110, 10.2.3): milliseconds from now, at most a day. */
export function retryAfter(
  header: string | string[] | undefined,
  nowMs: number,
): number | undefined {
  const text = (Array.isArray(header) ? header[0] : header)?.trim();
  if (text === undefined) return undefined;
  if (/^\d+$/.test(text)) return Math.min(retryAfterMsMax, Number(text) * 1_000);
  const atMs = httpDate.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(atMs) ? undefined : Math.min(retryAfterMsMax, Math.max(0, atMs - nowMs));
}
