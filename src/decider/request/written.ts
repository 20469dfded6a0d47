/**
 * A request as people write it in a file: what rules and schedules ask for in the same words.
 *
 * Durations are texts (`30s`); the request itself counts in seconds and milliseconds.
 */
import Type, { type Static } from "typebox";
import { parseRequestAttrs } from "../../action/request-schema.ts";
import type { RequestAttrs } from "../../action/request.ts";
import type { DocumentProblem, ReadDocument } from "../../base/document.ts";
import { parseDurationMs } from "../../base/duration.ts";
import { isJsonObject, type Json } from "../../base/json.ts";

export const strict = { additionalProperties: false };

export const duration = Type.String({
  pattern: "^(\\d+(\\.\\d+)?(ms|s|m|h|d))+$",
  description: "a number and a unit, as in 250ms, 30s, 10m, 1h30m, 7d",
});

export const metadata = Type.Object(
  {
    name: Type.String({
      pattern: "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$",
      maxLength: 64,
      description: "lower-case letters, digits and hyphens, as in restart-web",
    }),
    description: Type.Optional(Type.String()),
  },
  strict,
);

const command = Type.String({
  pattern: "^[a-z][a-z0-9_]*(\\.[a-z0-9_]+)*$",
  description: "a dotted lower-case name, as in shell.run",
});

const key = Type.String({ minLength: 1 });

const args = Type.Optional(Type.Record(Type.String(), Type.Unknown()));

/** What both write; what an entity is and whether there is a key is said by each. */
export const requestMembers = {
  command,
  args,
  ttl: Type.Optional(duration),
  timeout: Type.Optional(duration),
  priority: Type.Optional(
    Type.Union([
      Type.Literal("critical"),
      Type.Literal("high"),
      Type.Literal("normal"),
      Type.Literal("low"),
    ]),
  ),
  retry: Type.Optional(
    Type.Object(
      {
        attempts: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000 })),
        initial: Type.Optional(duration),
        max: Type.Optional(duration),
        multiplier: Type.Optional(Type.Number({ minimum: 1 })),
      },
      strict,
    ),
  ),
  concurrency: Type.Optional(Type.Object({ key, limit: Type.Integer({ minimum: 1 }) }, strict)),
  rate: Type.Optional(
    Type.Object({ key, limit: Type.Integer({ minimum: 1 }), per: duration }, strict),
  ),
  compensate: Type.Optional(Type.Object({ command, args }, strict)),
};

type WrittenRequest = Static<Type.TObject<typeof requestMembers>>;

/** What a request says in numbers, as its attrs hold it. */
export type RequestSettings = Pick<RequestAttrs, "ttl_sec" | "timeout_sec" | "retry">;

/** Attrs of a request in characters of JSON: leaves room for all else that one event may hold. */
export const attrsCharsMax = 64 * 1024;

/** Reads a duration of the file; what is wrong with it goes to the problems, and 0 comes back. */
export type ReadMs = (path: readonly string[], text: string) => number;

export function durationReader<T>(document: ReadDocument<T>, problems: DocumentProblem[]): ReadMs {
  return (path, text) => {
    const read = parseDurationMs(text);
    if (read.ok) return read.value;
    problems.push(document.problem(["spec", ...path], read.error));
    return 0;
  };
}

export function requestSettings(request: WrittenRequest, readMs: ReadMs): RequestSettings {
  const { ttl, timeout, retry } = request;
  const ms = (path: readonly string[], text: string): number => readMs(["request", ...path], text);
  return {
    ...(ttl === undefined ? {} : { ttl_sec: ms(["ttl"], ttl) / 1_000 }),
    ...(timeout === undefined ? {} : { timeout_sec: ms(["timeout"], timeout) / 1_000 }),
    ...(retry === undefined
      ? {}
      : {
          retry: {
            ...(retry.attempts === undefined ? {} : { attempts: retry.attempts }),
            ...(retry.initial === undefined
              ? {}
              : { initial_ms: ms(["retry", "initial"], retry.initial) }),
            ...(retry.max === undefined ? {} : { max_ms: ms(["retry", "max"], retry.max) }),
            ...(retry.multiplier === undefined ? {} : { multiplier: retry.multiplier }),
          },
        }),
  };
}

/**
 * What the check of requests will say about every request of this document: told now, in the document's
 * words, instead of to nobody later.
 */
export function requestProblems<T>(
  document: ReadDocument<T>,
  attrs: RequestAttrs,
): readonly DocumentProblem[] {
  const checked = parseRequestAttrs(attrs);
  const found = checked.ok ? [] : checked.error.detail?.["problems"];
  return (Array.isArray(found) ? found : []).flatMap((problem: Json) => {
    if (!isJsonObject(problem)) return [];
    const { pointer, message } = problem;
    const path = typeof pointer === "string" ? pointer.split("/").slice(1) : [];
    const words = path.map((word) => word.replace(/_(sec|ms)$/, ""));
    const unit = /_(sec|ms)$/.exec(path.at(-1) ?? "")?.[1];
    const said = `"${words.at(-1) ?? ""}" ${typeof message === "string" ? message : "is not valid"}`;
    const text = unit === undefined ? said : `${said} ${unit === "sec" ? "seconds" : "ms"}`;
    return [document.problem(["spec", "request", ...words], text)];
  });
}
