/** What a render gives back: JSON, and nothing that lives in the engine only. */
import type { Json } from "../../base/json.ts";
import { templateLimits } from "./limits.ts";
import {
  fail,
  isList,
  keysOf,
  objectOf,
  spend,
  tooDeep,
  touch,
  type Frame,
  type Value,
  isMissing,
  isGroup,
  isSpecial,
  type Special,
} from "./value.ts";

/**
 * The value as JSON; an undefined one is null, or an error where undefined is strict.
 *
 * @param built whether the template may have built lists or objects. If not, data is given on as it is.
 */
export function resultOf(value: Value, built: boolean, frame: Frame): Json {
  if (isSpecial(value) || !isData(value, built)) return toJson(value, frame, 0);
  return value;
}

/** What no template built holds JSON only (invariant 4 of `value.ts`), which its type cannot say. */
function isData(value: Exclude<Value, Special>, built: boolean): value is Json {
  return value === null || !built;
}

function toJson(value: Value, frame: Frame, depth: number): Json {
  spend(frame, nodeWork);
  if (typeof value === "number") {
    return Number.isFinite(value)
      ? value
      : fail(frame, "The result is no number that JSON can hold");
  }
  if (typeof value !== "object" || value === null) return value;
  if (depth > templateLimits.depthMax) tooDeep(frame);
  if (isMissing(value)) {
    touch(value);
    return null;
  }
  if (isGroup(value)) return value.pair.map((one) => toJson(one, frame, depth + 1));
  if (isSpecial(value)) {
    return fail(frame, `The result cannot be ${value.what}: give one of its members`);
  }
  if (isList(value)) return value.map((one) => toJson(one, frame, depth + 1));
  return objectOf(
    keysOf(value).map((key) => [key, toJson(value[key] ?? null, frame, depth + 1)] as const),
  );
}

/** A part of a result costs memory, not only time. */
const nodeWork = 8;
