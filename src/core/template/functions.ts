/** Functions that need no value before them. `now()` is no function here: it is the root `now`. */
import { wholeOf, type Definitions } from "./given.ts";
import { templateLimits } from "./limits.ts";
import { textOf } from "./print.ts";
import {
  fail,
  isObject,
  iterate,
  keysOf,
  objectOf,
  spend,
  type Frame,
  type Value,
  createNamespace,
} from "./value.ts";

export const functions: Definitions<Value> = {
  range: {
    params: ["start", "stop", "step"],
    required: 1,
    run: (_, [first, second, third], frame) => {
      const start = second === undefined ? 0 : wholeOf(first, frame);
      const stop = wholeOf(second === undefined ? first : second, frame);
      return numbers({ start, stop, step: third === undefined ? 1 : wholeOf(third, frame) }, frame);
    },
  },
  dict: {
    params: [],
    variadic: true,
    run: (_, [named, from], frame) => {
      const given = named !== undefined && isObject(named) ? entries(named) : [];
      return objectOf([...(from === undefined ? [] : entriesOf(from, frame)), ...given]);
    },
  },
  namespace: {
    params: [],
    variadic: true,
    run: (_, [named, from], frame) => {
      const namespace = createNamespace();
      const given = named !== undefined && isObject(named) ? entries(named) : [];
      for (const [key, value] of [
        ...(from === undefined ? [] : entriesOf(from, frame)),
        ...given,
      ]) {
        namespace.members.set(key, value);
      }
      return namespace;
    },
  },
};

function numbers(
  { start, stop, step }: { readonly start: number; readonly stop: number; readonly step: number },
  frame: Frame,
): readonly Value[] {
  if (step === 0) return fail(frame, "Cannot make a range with step 0: use 1, or -1 to go back");
  const length = Math.max(0, Math.ceil((stop - start) / step));
  if (length > templateLimits.rangeMax) {
    return fail(
      frame,
      `A range gives at most ${String(templateLimits.rangeMax)} numbers, not ${String(length)}`,
    );
  }
  spend(frame, length);
  return Array.from({ length }, (_, index) => start + index * step);
}

function entries(object: {
  readonly [key: string]: Value | undefined;
}): (readonly [string, Value])[] {
  return keysOf(object).map((key) => [key, object[key] ?? null]);
}

function entriesOf(from: Value, frame: Frame): readonly (readonly [string, Value])[] {
  if (isObject(from)) return entries(from);
  return iterate(from, frame).map((pair) => {
    const [key, value, ...more] = iterate(pair, frame);
    if (key === undefined || value === undefined || more.length > 0) {
      return fail(frame, "dict needs pairs: lists of a key and a value");
    }
    return [textOf(key, frame), value];
  });
}
