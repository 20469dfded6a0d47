/** Filters over lists, and over what a loop can go through: keys of objects, characters of strings. */
import { along, lengthOf, type Lookup } from "../access.ts";
import { flagArg, pathArg, textArg, wholeOf, type Args, type Definitions } from "../given.ts";
import { add } from "../operators.ts";
import { textOf } from "../print.ts";
import { turn } from "../text-operations.ts";
import {
  fail,
  isObject,
  iterate,
  keysOf,
  kindOf,
  listOf,
  order,
  same,
  spend,
  touch,
  type Frame,
  type Value,
  isMissing,
  createMissing,
  createGroup,
} from "../value.ts";

const length: Definitions<Value>[string] = {
  params: [],
  plain: true,
  run: (value, _, frame) => count(value, frame),
};

export const sequenceFilters: Definitions<Value> = {
  length,
  count: length,
  first: {
    params: [],
    plain: true,
    run: (value, _, frame) => iterate(value, frame)[0] ?? nothing(value, "first", frame),
  },
  last: {
    params: [],
    plain: true,
    run: (value, _, frame) => iterate(value, frame).at(-1) ?? nothing(value, "last", frame),
  },
  list: { params: [], run: (value, _, frame) => iterate(value, frame) },
  reverse: {
    params: [],
    run: (value, _, frame) =>
      typeof value === "string" ? turn(value) : [...iterate(value, frame)].reverse(),
  },
  join: {
    params: ["d", "attribute"],
    plain: true,
    run: (value, args, frame) => {
      const by = textArg(args, 0, frame) ?? "";
      const texts = picked(value, args[1], frame).map((one) => textOf(one, frame));
      const text = texts.join(by);
      spend(frame, text.length);
      return text;
    },
  },
  sum: {
    params: ["attribute", "start"],
    run: (value, args, frame) => {
      let sum: Value = args[1] ?? 0;
      for (const one of picked(value, args[0], frame)) {
        if (typeof sum === "string") return fail(frame, "Cannot sum strings: join them (| join)");
        sum = add(sum, one, frame);
      }
      return sum;
    },
  },
  min: {
    params: ["case_sensitive", "attribute"],
    run: (value, args, frame) => extreme(value, { args, sign: -1 }, frame),
  },
  max: {
    params: ["case_sensitive", "attribute"],
    run: (value, args, frame) => extreme(value, { args, sign: 1 }, frame),
  },
  sort: {
    params: ["reverse", "case_sensitive", "attribute"],
    run: (value, args, frame) => {
      const sign = flagArg(args, 0) ? -1 : 1;
      return ordered(iterate(value, frame), keyOf(args[2], flagArg(args, 1), frame), {
        sign,
        frame,
      });
    },
  },
  unique: {
    params: ["case_sensitive", "attribute"],
    run: (value, args, frame) => {
      const key = keyOf(args[1], flagArg(args, 0), frame);
      return distinct(iterate(value, frame), key, frame);
    },
  },
  groupby: {
    params: ["attribute", "default", "case_sensitive"],
    required: 1,
    run: (value, args, frame) => groups(value, args, frame),
  },
  batch: {
    params: ["linecount", "fill_with"],
    required: 1,
    run: (value, args, frame) => {
      const size = atLeastOne(args[0], frame);
      const items = iterate(value, frame);
      const rows: (readonly Value[])[] = [];
      for (let at = 0; at < items.length; at += size) {
        const row = items.slice(at, at + size);
        rows.push(row.length < size ? filled(row, { by: args[1], size }, frame) : row);
      }
      return rows;
    },
  },
  slice: {
    params: ["slices", "fill_with"],
    required: 1,
    run: (value, args, frame) => {
      const columns = atLeastOne(args[0], frame);
      const items = iterate(value, frame);
      spend(frame, columns);
      const each = Math.floor(items.length / columns);
      const longer = items.length % columns;
      return Array.from({ length: columns }, (_, index) => {
        const from = index * each + Math.min(index, longer);
        const part = items.slice(from, from + each + (index < longer ? 1 : 0));
        return index < longer ? part : filled(part, { by: args[1], size: part.length + 1 }, frame);
      });
    },
  },
};

/** How many elements, members or characters. */
function count(value: Value, frame: Frame): number {
  if (typeof value === "string") return lengthOf(value);
  const list = listOf(value);
  if (list !== undefined) return list.length;
  if (isObject(value)) return keysOf(value).length;
  if (isMissing(value)) {
    touch(value);
    return 0;
  }
  return fail(frame, `${kindOf(value)} has no length: a list, an object or a string is needed`);
}

function nothing(value: Value, which: string, frame: Frame): Value {
  const list = iterate(value, frame);
  if (list.length > 0) return null;
  if (isMissing(value)) return value;
  return createMissing(`the ${which} of an empty list`, false, frame.at);
}

/** The elements, or a member of each. */
function picked(value: Value, attribute: Value | undefined, frame: Frame): readonly Value[] {
  const items = iterate(value, frame);
  spend(frame, items.length);
  if (attribute === undefined || attribute === null) return items;
  const path = pathArg(attribute);
  const lookup = lookupOf(attribute, frame);
  return items.map((one) => along(one, path, lookup));
}

function lookupOf(attribute: Value | undefined, frame: Frame): Lookup {
  const name = typeof attribute === "string" ? attribute : "the member";
  return { missing: createMissing(`${name} of an element`, false, frame.at), frame };
}

type Key = (value: Value) => Value;

/** What elements are compared by: a member, or several with commas between; texts without regard to case. */
function keyOf(attribute: Value | undefined, caseSensitive: boolean, frame: Frame): Key {
  const plain = (value: Value): Value =>
    typeof value === "string" && !caseSensitive ? value.toLowerCase() : value;
  if (attribute === undefined || attribute === null) return plain;
  const lookup = lookupOf(attribute, frame);
  const paths =
    typeof attribute === "string" ? attribute.split(",").map(pathArg) : [pathArg(attribute)];
  const [only = []] = paths;
  if (paths.length === 1) return (value) => plain(along(value, only, lookup));
  return (value) => paths.map((path) => plain(along(value, path, lookup)));
}

function ordered(
  items: readonly Value[],
  key: Key,
  { sign, frame }: { readonly sign: 1 | -1; readonly frame: Frame },
): readonly Value[] {
  spend(frame, items.length * 16);
  return items
    .map((value) => ({ value, key: key(value) }))
    .sort((left, right) => sign * order(left.key, right.key, frame))
    .map(({ value }) => value);
}

function extreme(
  value: Value,
  { args, sign }: { readonly args: Args; readonly sign: 1 | -1 },
  frame: Frame,
): Value {
  const key = keyOf(args[1], flagArg(args, 0), frame);
  const items = iterate(value, frame);
  spend(frame, items.length);
  const [first] = items;
  if (first === undefined) return nothing(value, sign < 0 ? "smallest" : "largest", frame);
  let best = first;
  let bestKey = key(best);
  for (const one of items.slice(1)) {
    const oneKey = key(one);
    if (sign * order(oneKey, bestKey, frame) > 0) [best, bestKey] = [one, oneKey];
  }
  return best;
}

function distinct(items: readonly Value[], key: Key, frame: Frame): readonly Value[] {
  const scalars = new Set<string | number | null>();
  const others: Value[] = [];
  return items.filter((item) => {
    const found = key(item);
    const scalar = typeof found === "boolean" ? Number(found) : found;
    if (typeof scalar === "string" || typeof scalar === "number" || scalar === null) {
      if (scalars.has(scalar)) return false;
      scalars.add(scalar);
      return true;
    }
    spend(frame, others.length + 1);
    if (others.some((one) => same(one, found, frame))) return false;
    others.push(found);
    return true;
  });
}

/** Sorted by the key, then neighbours with one key together; the key shown is that of the first. */
function groups(value: Value, args: Args, frame: Frame): Value {
  const [attribute, fallback] = args;
  const lookup = lookupOf(attribute, frame);
  const path = pathArg(attribute);
  const raw: Key = (item) => {
    const found = along(item, path, lookup);
    return isMissing(found) && fallback !== undefined ? fallback : found;
  };
  const key: Key = (item) => {
    const found = raw(item);
    return typeof found === "string" && !flagArg(args, 2) ? found.toLowerCase() : found;
  };
  const all: { readonly key: Value; readonly shown: Value; readonly items: Value[] }[] = [];
  for (const item of ordered(iterate(value, frame), key, { sign: 1, frame })) {
    const last = all.at(-1);
    if (last !== undefined && same(last.key, key(item), frame)) last.items.push(item);
    else all.push({ key: key(item), shown: raw(item), items: [item] });
  }
  return all.map(({ shown, items }) => createGroup(shown, items));
}

function filled(
  row: readonly Value[],
  { by, size }: { readonly by: Value | undefined; readonly size: number },
  frame: Frame,
): readonly Value[] {
  if (by === undefined || by === null) return row;
  spend(frame, size);
  return [...row, ...Array.from({ length: size - row.length }, () => by)];
}

function atLeastOne(value: Value | undefined, frame: Frame): number {
  const number = wholeOf(value, frame);
  return number >= 1 ? number : fail(frame, `At least 1 is needed, not ${String(number)}`);
}
