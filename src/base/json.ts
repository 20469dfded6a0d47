/** What JSON can say; every payload on the log is one. */
export type Json = string | number | boolean | null | readonly Json[] | JsonObject;

export type JsonObject = { readonly [key: string]: Json | undefined };

/** True for a plain JSON object: not null, not an array. */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Arrays and objects in one another at most: what nests deeper breaks the stack of whoever walks it. */
export const jsonDepthMax = 64;

/** True where arrays and objects stand in one another more than `max` times. */
export function nestsDeeperThan(value: unknown, max: number): boolean {
  if (typeof value !== "object" || value === null) return false;
  if (max === 0) return true;
  return Object.values(value).some((member) => nestsDeeperThan(member, max - 1));
}
