/**
 * Regular expressions whose cost is bounded: RE2's syntax, decided in one pass over the text.
 *
 * What events carry comes from outside, and rules are decided while the log commits: a pattern that
 * backtracks (`^(a+)+$`) would let one event stop the node. Here a text costs at most its length times the
 * size of the pattern.
 *
 * Known: literals, `.`, classes, `\d \w \s \b` and their opposites, `^ $ \A \z`, groups, `|`, `* + ? {n,m}` (lazy
 * ones, too), `(?i)` and `(?s)` at the start. Not known, as in RE2: look-around and back references.
 *
 * Source: R. Cox, "Regular Expression Matching: the Virtual Machine Approach".
 */
import { err, ok, type Result } from "../../base/result.ts";

/** True where the pattern is found anywhere in the text. */
export type Pattern = (text: string) => boolean;

export type PatternProblem = { readonly message: string; readonly at: number };

/** Steps of a compiled pattern at most: repetitions count for each of their times. */
const stepsMax = 2_000;

const timesMax = 1_000;

const depthMax = 64;

type Test = (point: number) => boolean;

type Assertion = "start" | "end" | "boundary" | "inside";

type Node =
  | { readonly kind: "char"; readonly test: Test }
  | { readonly kind: "assert"; readonly what: Assertion }
  | { readonly kind: "all"; readonly parts: readonly Node[] }
  | { readonly kind: "any"; readonly parts: readonly Node[] }
  | {
      readonly kind: "repeat";
      readonly node: Node;
      readonly min: number;
      readonly max: number | undefined;
    };

type Step =
  | { readonly kind: "char"; readonly test: Test }
  | { readonly kind: "assert"; readonly what: Assertion }
  | { readonly kind: "fork"; readonly to: number[] }
  | { readonly kind: "found" };

/** Reads a pattern. */
export function compilePattern(source: string): Result<Pattern, PatternProblem> {
  try {
    const node = new Reader(source).read();
    const steps: Step[] = [];
    emit(node, steps);
    steps.push({ kind: "found" });
    return ok((text) => search(steps, text));
  } catch (thrown) {
    if (thrown instanceof Refusal) return err({ message: thrown.message, at: thrown.at });
    throw thrown;
  }
}

class Refusal extends Error {
  readonly at: number;

  constructor(message: string, at: number) {
    super(message);
    this.at = at;
  }
}

/** Reads by recursive descent; throws a {@link Refusal}, which does not leave this file. */
class Reader {
  readonly #source: string;
  #at = 0;
  #depth = 0;
  #ignoreCase = false;
  #dotAll = false;

  constructor(source: string) {
    this.#source = source;
  }

  read(): Node {
    const flags = /^\(\?([is]+)\)/.exec(this.#source);
    if (flags !== null) {
      this.#ignoreCase = flags[0].includes("i");
      this.#dotAll = flags[0].includes("s", 2);
      this.#at = flags[0].length;
    }
    const node = this.#choice();
    if (this.#at < this.#source.length) throw this.#refusal("a ) without its (");
    return node;
  }

  #choice(): Node {
    const parts = [this.#row()];
    while (this.#take("|")) parts.push(this.#row());
    const [only] = parts;
    return parts.length === 1 && only !== undefined ? only : { kind: "any", parts };
  }

  #row(): Node {
    const parts: Node[] = [];
    while (this.#at < this.#source.length && !/[|)]/.test(this.#next())) {
      const start = this.#at;
      parts.push(this.#times(this.#one(), start));
    }
    return { kind: "all", parts };
  }

  #times(node: Node, start: number): Node {
    const found = /^(?:[*+?]|\{(\d+)(,(\d*))?\})/.exec(this.#source.slice(this.#at));
    if (found === null) return node;
    if (node.kind === "assert") throw this.#refusal("nothing to repeat", start);
    this.#at += found[0].length;
    this.#take("?");
    if (/^[*+?]/.test(this.#next())) throw this.#refusal("a repetition of a repetition");
    const [sign, least = "", , most] = found;
    if (sign === "*") return { kind: "repeat", node, min: 0, max: undefined };
    if (sign === "+") return { kind: "repeat", node, min: 1, max: undefined };
    if (sign === "?") return { kind: "repeat", node, min: 0, max: 1 };
    const min = Number(least);
    const max = most === undefined ? min : most === "" ? undefined : Number(most);
    if (Math.max(min, max ?? 0) > timesMax) {
      throw this.#refusal(`a repetition of more than ${String(timesMax)} times`, start);
    }
    if (max !== undefined && max < min)
      throw this.#refusal("a repetition that ends below its start", start);
    return { kind: "repeat", node, min, max };
  }

  #one(): Node {
    const start = this.#at;
    const sign = this.#point();
    switch (sign) {
      case "(":
        return this.#group(start);
      case "[":
        return { kind: "char", test: this.#class(start) };
      case ".":
        return { kind: "char", test: this.#dotAll ? () => true : (point) => point !== lineFeed };
      case "^":
        return { kind: "assert", what: "start" };
      case "$":
        return { kind: "assert", what: "end" };
      case "\\":
        return this.#escape(start);
      case "*":
      case "+":
      case "?":
        throw this.#refusal("nothing to repeat", start);
      default:
        return { kind: "char", test: this.#cased(between(sign, sign)) };
    }
  }

  #group(start: number): Node {
    if (this.#take("?") && !this.#take(":")) {
      throw this.#refusal("a group that is not known here (look-around, name or flags)", start);
    }
    this.#depth += 1;
    if (this.#depth > depthMax)
      throw this.#refusal(`groups deeper than ${String(depthMax)}`, start);
    const node = this.#choice();
    this.#depth -= 1;
    if (!this.#take(")")) throw this.#refusal("a ( without its )", start);
    return node;
  }

  #escape(start: number): Node {
    const assertion = assertions.get(this.#next());
    if (assertion !== undefined) {
      this.#at += 1;
      return { kind: "assert", what: assertion };
    }
    const escaped = this.#escaped(start);
    return {
      kind: "char",
      test: typeof escaped === "string" ? this.#cased(between(escaped, escaped)) : escaped,
    };
  }

  /** What stands behind a backslash: a character, or the test of a kind of them. */
  #escaped(start: number): string | Test {
    const coded = /^(?:x([0-9a-fA-F]{2})|x\{([0-9a-fA-F]{1,6})\})/.exec(
      this.#source.slice(this.#at),
    );
    if (coded !== null) {
      this.#at += coded[0].length;
      const point = Number.parseInt(coded[1] ?? coded[2] ?? "", 16);
      if (point > 0x10ffff) throw this.#refusal("a character beyond Unicode", start);
      return String.fromCodePoint(point);
    }
    const letter = this.#point();
    const kind = kinds.get(letter);
    if (kind !== undefined) return kind;
    const control = controls.get(letter);
    if (control !== undefined) return control;
    if (letter === "") throw this.#refusal("a backslash at the end", start);
    if (/[A-Za-z0-9]/.test(letter))
      throw this.#refusal(`the escape \\${letter} is not known`, start);
    return letter;
  }

  #class(start: number): Test {
    const not = this.#take("^");
    const tests: Test[] = [];
    for (let first = true; first || this.#next() !== "]"; first = false) {
      const at = this.#at;
      const low = this.#member(start);
      const isRange = this.#next() === "-" && !/^-(\]|$)/.test(this.#source.slice(this.#at));
      if (typeof low !== "string" || !isRange) {
        tests.push(typeof low === "string" ? between(low, low) : low);
        continue;
      }
      this.#at += 1;
      const high = this.#member(start);
      if (typeof high !== "string" || pointOf(high) < pointOf(low)) {
        throw this.#refusal("a range that ends below its start", at);
      }
      tests.push(between(low, high));
    }
    this.#at += 1;
    const any = this.#cased((point) => tests.some((test) => test(point)));
    return not ? (point) => !any(point) : any;
  }

  #member(start: number): string | Test {
    const at = this.#at;
    const sign = this.#point();
    if (sign === "") throw this.#refusal("a [ without its ]", start);
    if (sign === "[" && this.#next() === ":") throw this.#refusal("[: is not known here", at);
    return sign === "\\" ? this.#escaped(at) : sign;
  }

  #cased(test: Test): Test {
    if (!this.#ignoreCase) return test;
    return (point) => {
      const text = String.fromCodePoint(point);
      return test(point) || test(pointOf(text.toLowerCase())) || test(pointOf(text.toUpperCase()));
    };
  }

  #next(): string {
    return this.#source.charAt(this.#at);
  }

  #point(): string {
    const point = this.#source.codePointAt(this.#at);
    if (point === undefined) return "";
    const text = String.fromCodePoint(point);
    this.#at += text.length;
    return text;
  }

  #take(sign: string): boolean {
    if (this.#next() !== sign) return false;
    this.#at += 1;
    return true;
  }

  #refusal(what: string, at = this.#at): Refusal {
    return new Refusal(`not a valid pattern: ${what}`, at);
  }
}

const lineFeed = 10;

const assertions: ReadonlyMap<string, Assertion> = new Map([
  ["b", "boundary"],
  ["B", "inside"],
  ["A", "start"],
  ["z", "end"],
]);

const controls: ReadonlyMap<string, string> = new Map([
  ["n", "\n"],
  ["r", "\r"],
  ["t", "\t"],
  ["f", "\f"],
  ["v", "\v"],
]);

const isDigit: Test = (point) => point >= 48 && point <= 57;

const isWord: Test = (point) =>
  isDigit(point) || (point >= 65 && point <= 90) || (point >= 97 && point <= 122) || point === 95;

const isSpace: Test = (point) => point === 32 || (point >= 9 && point <= 13 && point !== 11);

const kinds: ReadonlyMap<string, Test> = new Map([
  ["d", isDigit],
  ["D", (point) => !isDigit(point)],
  ["w", isWord],
  ["W", (point) => !isWord(point)],
  ["s", isSpace],
  ["S", (point) => !isSpace(point)],
]);

function pointOf(text: string): number {
  return text.codePointAt(0) ?? 0;
}

function between(low: string, high: string): Test {
  const [from, to] = [pointOf(low), pointOf(high)];
  return (point) => point >= from && point <= to;
}

function emit(node: Node, steps: Step[]): void {
  if (steps.length > stepsMax) {
    throw new Refusal(`not a valid pattern: it has more than ${String(stepsMax)} steps`, 0);
  }
  switch (node.kind) {
    case "char":
    case "assert":
      steps.push(node);
      return;
    case "all":
      for (const part of node.parts) emit(part, steps);
      return;
    case "any": {
      const fork: number[] = [];
      const ends: number[][] = [];
      steps.push({ kind: "fork", to: fork });
      for (const part of node.parts) {
        fork.push(steps.length);
        emit(part, steps);
        const end: number[] = [];
        ends.push(end);
        steps.push({ kind: "fork", to: end });
      }
      for (const end of ends) end.push(steps.length);
      return;
    }
    case "repeat":
      emitRepeat(node, steps);
  }
}

function emitRepeat(
  { node, min, max }: Extract<Node, { readonly kind: "repeat" }>,
  steps: Step[],
): void {
  for (let times = 0; times < min; times += 1) emit(node, steps);
  const exits: number[][] = [];
  for (let times = min; times < (max ?? min + 1); times += 1) {
    const at = steps.length;
    const exit = [at + 1];
    exits.push(exit);
    steps.push({ kind: "fork", to: exit });
    emit(node, steps);
    if (max === undefined) steps.push({ kind: "fork", to: [at] });
  }
  for (const exit of exits) exit.push(steps.length);
}

/** All ways through the steps at once: each step stands in the list at most once per character. */
function search(steps: readonly Step[], text: string): boolean {
  const seenAt = new Int32Array(steps.length).fill(-1);
  let now: number[] = [];
  for (let at = 0; ;) {
    const point = text.codePointAt(at);
    const next: number[] = [];
    now.push(0);
    const reached = reach(steps, now, { seenAt, at, text });
    if (reached === undefined) return true;
    if (point === undefined) return false;
    for (const index of reached) {
      const step = steps[index];
      if (step?.kind === "char" && step.test(point)) next.push(index + 1);
    }
    now = next;
    at += point > 0xffff ? 2 : 1;
  }
}

/** The characters to look at from here; `undefined` where the pattern is found. */
function reach(
  steps: readonly Step[],
  from: readonly number[],
  here: { readonly seenAt: Int32Array; readonly at: number; readonly text: string },
): readonly number[] | undefined {
  const { seenAt, at, text } = here;
  const waiting = [...from];
  const reached: number[] = [];
  for (let index = waiting.pop(); index !== undefined; index = waiting.pop()) {
    if (seenAt[index] === at) continue;
    seenAt[index] = at;
    const step = steps[index];
    if (step === undefined || step.kind === "found") return undefined;
    if (step.kind === "char") reached.push(index);
    else if (step.kind === "fork") waiting.push(...step.to);
    else if (holds(step.what, text, at)) waiting.push(index + 1);
  }
  return reached;
}

function holds(what: Assertion, text: string, at: number): boolean {
  switch (what) {
    case "start":
      return at === 0;
    case "end":
      return at === text.length;
    case "boundary":
      return isWordAt(text, at - 1) !== isWordAt(text, at);
    case "inside":
      return isWordAt(text, at - 1) === isWordAt(text, at);
  }
}

function isWordAt(text: string, at: number): boolean {
  return at >= 0 && at < text.length && isWord(text.charCodeAt(at));
}
