/**
 * What a storm does, drawn from its seed: the requests, the repeats and the instants of the kills.
 *
 * Pure. Two storms with one seed ask for the same things in the same order and are killed at the same
 * counts of answers; what the machine makes of the milliseconds is its own.
 */
import type { JsonObject } from "../../src/base/json.ts";
import { seededRandom, type Random } from "../../src/base/random.ts";

/**
 * - `noop`: does nothing.
 * - `once`: appends a line to a file, not idempotent.
 * - `again`: appends a line to a file, declared idempotent, retried until it ends.
 * - `keyed`: does nothing, at most two at a time for its key.
 * - `rated`: does nothing, at most 40 a second.
 * - `brief`: appends a line, one at a time, and expires after a moment: some of them while they wait.
 * - `observed`: no action, an observation.
 */
export const kinds = ["noop", "once", "again", "keyed", "rated", "brief", "observed"] as const;

export type Kind = (typeof kinds)[number];

/** One request under one key. A repeat is the same submission a second time. */
export type Submission = {
  readonly key: string;
  readonly kind: Kind;
  readonly entityId: string;
  /** The program's time from its effect to its end, seconds. */
  readonly workSec: number;
  /** Asked to be cancelled right after it was acknowledged. */
  readonly cancel: boolean;
};

/** When the program is killed: while it starts, or after so many answers since the storm began. */
export type Kill =
  | { readonly when: "starting"; readonly afterMs: number }
  | { readonly when: "serving"; readonly afterAnswers: number; readonly delayMs: number };

export type Plan = {
  readonly submissions: readonly Submission[];
  readonly kills: readonly Kill[];
};

/** Of ten kills, this many hit a program that is still starting. */
const startingOfTen = 2;

const startMsMax = 900;

const delayMsMax = 40;

/** Of ten submissions, this many repeat an earlier key. */
const repeatsOfTen = 2;

const shares: Readonly<Record<Kind, number>> = {
  noop: 46,
  once: 12,
  again: 12,
  keyed: 10,
  rated: 5,
  brief: 5,
  observed: 10,
};

export function planStorm(options: {
  readonly requests: number;
  readonly kills: number;
  readonly seed: number;
}): Plan {
  const random = seededRandom(`storm/${String(options.seed)}`);
  const submissions: Submission[] = [];
  for (let index = 0; index < options.requests; index += 1) {
    const earlier = submissions[Math.floor(random() * submissions.length)];
    const repeats = random() * 10 < repeatsOfTen;
    submissions.push(repeats && earlier !== undefined ? earlier : fresh(index, random));
  }
  const answers = Array.from({ length: options.kills }, () =>
    Math.floor(random() * options.requests),
  ).sort((left, right) => left - right);
  const kills = answers.map((afterAnswers): Kill => {
    const starting = random() * 10 < startingOfTen;
    return starting
      ? { when: "starting", afterMs: Math.floor(random() * startMsMax) }
      : { when: "serving", afterAnswers, delayMs: Math.floor(random() * delayMsMax) };
  });
  return { submissions, kills };
}

function fresh(index: number, random: Random): Submission {
  const kind = draw(random);
  return {
    key: `storm/${String(index)}`,
    kind,
    entityId: `job:${String(index % 97)}`,
    workSec: Math.floor(random() * 40) / 1_000,
    cancel: (kind === "keyed" || kind === "brief") && random() < 0.3,
  };
}

function draw(random: Random): Kind {
  let rest = random() * 100;
  return kinds.find((kind) => (rest -= shares[kind]) < 0) ?? "noop";
}

/** The body of `POST /v1/actions`. The same submission always gives the same one. */
export function actionBody({ key, kind, entityId, workSec }: Submission): JsonObject {
  const about = { entity_id: entityId };
  const append = {
    ...about,
    command: "shell.run",
    args: { argv: ["./append.sh", key, String(workSec)], idempotent: kind !== "once" },
  };
  const noop = { ...about, command: "noop", args: { payload: "x".repeat(200) } };
  const retry = { attempts: 1_000, initial_ms: 20, max_ms: 200 };
  switch (kind) {
    case "once":
      return append;
    case "again":
      return { ...append, retry };
    case "brief":
      return { ...append, ttl_sec: 0.4, concurrency: { key: "brief", limit: 1 } };
    case "keyed":
      return { ...noop, retry, concurrency: { key: entityId, limit: 2 } };
    case "rated":
      return { ...noop, retry, rate: { key: "rated", limit: 40, per_sec: 1 } };
    default:
      return { ...noop, retry };
  }
}

/** The body of `POST /v1/events`. */
export function observation({ key, entityId }: Submission): JsonObject {
  return {
    ts: "2026-01-01T00:00:00.000Z",
    event_type: "storm.seen",
    entity_id: entityId,
    idempotency_key: key,
    source: { system: "storm", ns: {} },
    tags: {},
    attrs: {},
  };
}

/** The configuration and the program of a storm's folder, by file name. */
export const files: Readonly<Record<string, string>> = {
  "deed.yaml": `listen: 127.0.0.1:0
executors:
  shell:
    allow: [["./append.sh"]]
`,
  "append.sh": `#!/bin/sh
echo "$1" >> effects.txt
exec sleep "$2"
`,
};
