/** What one execution may use up. Beyond it the step, and with it the execution, fails and says so. */
export const coreLimits = {
  /** Activations of all steps together. */
  activationsMax: 100_000,
  /** Iterations of one loop; rows of all claims of a cursor together. */
  loopItemsMax: 100_000,
  /** Iterations of one loop at one time, whatever the playbook says. */
  inFlightMax: 1_000,
  /** JSON of one command's arguments, estimated in bytes. Larger data travels as a reference. */
  argsBytesMax: 4 * 1024 * 1024,
  /** Attempts of one task in a row. */
  attemptsMax: 1_000,
  /** Jumps in one item's way through a pipeline. */
  jumpsMax: 10_000,
  /** The longest delay before a retry, milliseconds: 30 days. */
  delayMsMax: 30 * 86_400_000,
} as const;
