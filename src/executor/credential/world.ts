/** What the sources of credentials read from, and whom they tell. */
export type World = {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Aborted when the node stops. */
  readonly signal: AbortSignal;
  /** Told once. */
  readonly warn: (message: string) => void;
};
