/** A broken promise of our own code: a bug, never bad input and never the outside world. */
export class AssertionError extends Error {
  override readonly name = "AssertionError";
}

/**
 * Holds a fact that the types cannot.
 *
 * @param message what was expected, then the current value.
 * @throws {AssertionError} where `condition` is false.
 */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new AssertionError(message);
}

/** Gives back a value that must be there. @throws {AssertionError} where it is not. */
export function present<T>(value: T | undefined | null, what: string): T {
  if (value === undefined || value === null) throw new AssertionError(`Expected ${what}: got none`);
  return value;
}

/** Closes an exhaustive `switch`: does not compile while a variant is left. */
export function unreachable(value: never): never {
  throw new AssertionError(`Unreachable variant: ${JSON.stringify(value)}`);
}
