/** What went wrong in an attempt, in the size and the form that the log takes. */
import { deedError, Fault, toDeedError, type DeedError } from "../../event/error.ts";

const messageCharsMax = 4_000;

const detailCharsMax = 64 * 1024;

/**
 * Whatever was thrown, as an error that fits an event: a long message is cut, a huge detail left out.
 *
 * @param clear takes out what no event may hold, before anything is cut.
 */
export function recordable(
  thrown: unknown,
  clear: (error: DeedError) => DeedError = (error) => error,
): DeedError {
  const { kind, message, retryable, detail } = clear(toDeedError(thrown));
  const short =
    message.length <= messageCharsMax ? message : `${message.slice(0, messageCharsMax)} …`;
  const error = { kind, message: short, retryable };
  if (detail === undefined) return error;
  const chars = jsonChars(detail);
  if (chars !== undefined && chars <= detailCharsMax) return { ...error, detail };
  return { ...error, detail: { left_out: chars ?? "not JSON" } };
}

function jsonChars(value: object): number | undefined {
  try {
    return JSON.stringify(value).length;
  } catch {
    return undefined;
  }
}

/** Trying again cannot help: the one who threw it says so. */
export function isFinal(thrown: unknown): boolean {
  if (thrown instanceof Fault) return !thrown.error.retryable;
  return thrown instanceof Error && "retryable" in thrown && thrown.retryable === false;
}

/** Another attempt follows a time-out only where the executor promised that it may. */
export function timeoutError(
  what: { readonly command: string; readonly attempt: number; readonly deadline: string },
  idempotent: boolean,
): DeedError {
  const { command, attempt, deadline } = what;
  const message = `${command} attempt ${String(attempt)} did not end by ${deadline}`;
  if (idempotent) return deedError("timeout", message);
  const alone = `${message}: it is not tried again, as what it had done by then is not known and it is not idempotent`;
  return { kind: "timeout", message: alone, retryable: false };
}
