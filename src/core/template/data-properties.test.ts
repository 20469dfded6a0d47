import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Json } from "../../base/json.ts";
import { compileTemplate, scopeOf } from "../template.ts";

const json = fc.jsonValue() as fc.Arbitrary<Json>;

describe("any data", () => {
  const value = (source: string, x: Json): Json | undefined => {
    const compiled = compileTemplate(source, "strict");
    const result = compiled.ok ? compiled.value.render(scopeOf({ x })) : compiled;
    if (!result.ok) throw new Error(result.error.message);
    return result.value;
  };

  test("1. one expression gives the value itself", () => {
    fc.assert(
      fc.property(json, (x) => {
        expect(value("{{ x }}", x)).toBe(x);
        expect(value("{{ [x][0] }}", x)).toEqual(x);
        expect(value("{{ x if true else 1 }}", x)).toBe(x);
      }),
    );
  });

  test("is equal to itself, is one element of a list of it, and is found in it", () => {
    fc.assert(
      fc.property(json, (x) => {
        expect(value("{{ x == x }}", x)).toBe(true);
        expect(value("{{ x in [x] }}", x)).toBe(true);
        expect(value("{{ [x, x] | unique | list | length }}", x)).toBe(1);
      }),
    );
  });

  test("survives JSON and Base64 there and back", () => {
    fc.assert(
      fc.property(json, (x) => {
        expect(value("{{ x | tojson | fromjson == x }}", x)).toBe(true);
        expect(value("{{ x | tojson | b64encode | b64decode == x | tojson }}", x)).toBe(true);
        expect(value("{{ x | tojson(2) | fromjson == x }}", x)).toBe(true);
      }),
    );
  });

  test("is sorted as a model sorts it, and the sort is stable", () => {
    const rows = fc.array(fc.record({ k: fc.nat(3), n: fc.nat() }), { maxLength: 12 });
    fc.assert(
      fc.property(rows, fc.boolean(), (x, down) => {
        const sorted = value(`{{ x | sort(attribute='k', reverse=${String(down)}) }}`, x);
        const sign = down ? -1 : 1;
        expect(sorted).toEqual([...x].sort((left, right) => sign * (left.k - right.k)));
      }),
    );
  });

  test("is sliced as a model slices it", () => {
    const bound = fc.option(fc.integer({ min: -7, max: 7 }), { nil: undefined });
    const step = fc.option(
      fc.integer({ min: -3, max: 3 }).filter((by) => by !== 0),
      { nil: undefined },
    );
    fc.assert(
      fc.property(fc.array(fc.nat(), { maxLength: 5 }), bound, bound, step, (x, from, to, by) => {
        const text = [from, to, by].map((one) => (one === undefined ? "" : String(one))).join(":");
        expect(value(`{{ x[${text}] }}`, x)).toEqual(sliced(x, { from, to, by: by ?? 1 }));
      }),
    );
  });
});

type Bounds = {
  readonly from: number | undefined;
  readonly to: number | undefined;
  readonly by: number;
};

/** Python's rule by the letter: every index from the first bound on, as long as it is before the second. */
function sliced<T>(list: readonly T[], { from, to, by }: Bounds): readonly T[] {
  const place = (bound: number): number => (bound < 0 ? bound + list.length : bound);
  const low = by > 0 ? 0 : -1;
  const high = by > 0 ? list.length : list.length - 1;
  const within = (index: number): number => Math.min(high, Math.max(low, index));
  const start = from === undefined ? (by > 0 ? low : high) : within(place(from));
  const stop = to === undefined ? (by > 0 ? high : low) : within(place(to));
  const all = list.flatMap((item, index) => {
    const steps = (index - start) / by;
    const inside = by > 0 ? index < stop : index > stop;
    return steps >= 0 && Number.isInteger(steps) && inside ? [item] : [];
  });
  return by > 0 ? all : all.reverse();
}
