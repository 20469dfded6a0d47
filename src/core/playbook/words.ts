/**
 * What members of `output` and `event` can be, so that a literal which they never equal is told.
 *
 * Source: playbooks, semantics 9 and "event.name in arcs".
 */
import { errorKinds } from "../../event/error.ts";
import { nearest } from "../../base/nearest.ts";

/** What is bound where a template stands. */
export type Facts = {
  /** `output` is the envelope, not a task's data. */
  readonly envelope: boolean;
  /** `event` of a step, of a loop, of a task's outcome; undefined where there is none. */
  readonly event: "step" | "loop" | undefined;
};

type Domain = {
  readonly words: readonly string[];
  /** What people write elsewhere for one of the words. */
  readonly meant: ReadonlyMap<string, string>;
};

const status: Domain = {
  words: ["ok", "error"],
  meant: new Map([
    ...["success", "succeeded", "completed", "complete", "done", "passed"].map(
      (word) => [word, "ok"] as const,
    ),
    ...["failed", "failure", "fail", "errored"].map((word) => [word, "error"] as const),
  ]),
};

const meantEvents = new Map([
  ...["step.done", "step.completed", "call.completed", "call.exit", "step.exit"].map(
    (word) => [word, "call.done"] as const,
  ),
  ...["step.failed", "call.failed", "step.error"].map((word) => [word, "call.error"] as const),
]);

const stepEvents: Domain = {
  words: ["call.done", "call.error"],
  meant: new Map([...meantEvents, ["loop.done", "call.done"]]),
};

const loopEvents: Domain = {
  words: ["loop.done", "call.error"],
  meant: new Map([
    ...[...meantEvents].map(
      ([word, ours]) => [word, ours.replace("call.done", "loop.done")] as const,
    ),
    ["call.done", "loop.done"],
    ["loop.completed", "loop.done"],
  ]),
};

/** The field's words for kinds of errors, and ours. */
const fieldKinds = new Map([
  ["rate_limit", "rate_limited"],
  ["auth", "permission"],
  ["server_error", "unavailable"],
]);

const strictKinds: Domain = { words: errorKinds, meant: fieldKinds };

const looseKinds: Domain = {
  words: [
    ...errorKinds.filter((kind) => kind !== "rate_limited" && kind !== "permission"),
    ...fieldKinds.keys(),
  ],
  meant: new Map([
    ["rate_limited", "rate_limit"],
    ["permission", "auth"],
  ]),
};

/** What is wrong with a literal beside a member. */
export type WordProblem = {
  readonly code: "never-equal" | "foreign-word";
  readonly message: string;
  readonly help: string;
};

/** True where a chain has words of its own, in a place with these facts. */
export function wordProblem(
  chain: string,
  literal: unknown,
  { facts, strict }: { readonly facts: Facts; readonly strict: boolean },
): WordProblem | undefined {
  const domain = domainOf(chain, facts, strict);
  if (domain === undefined || literal === null) return undefined;
  const word = typeof literal === "string" ? literal : JSON.stringify(literal);
  if (!domain.words.includes(word)) {
    const meant = domain.meant.get(word) ?? nearest(word, domain.words);
    return {
      code: "never-equal",
      message: `${chain} is never "${word}": it is ${listed(domain.words)}`,
      help: meant === undefined ? "compare it with one of these" : `write "${meant}"`,
    };
  }
  const ours = chain === "output.error.kind" && !strict ? fieldKinds.get(word) : undefined;
  if (ours === undefined) return undefined;
  return {
    code: "foreign-word",
    message: `"${word}" is a word of noetl.io/v2 alone: the taxonomy of errors has "${ours}"`,
    help: `it holds here; in deed/v1 write "${ours}"`,
  };
}

function domainOf(chain: string, facts: Facts, strict: boolean): Domain | undefined {
  switch (chain) {
    case "output.status":
      return facts.envelope ? status : undefined;
    case "output.error.kind":
      if (!facts.envelope) return undefined;
      return strict ? strictKinds : looseKinds;
    case "event.name":
      if (facts.event === undefined) return undefined;
      return facts.event === "loop" ? loopEvents : stepEvents;
    default:
      return undefined;
  }
}

function listed(words: readonly string[]): string {
  return `${words.slice(0, -1).join(", ")} or ${words.at(-1) ?? ""}`;
}
