import { parseTimestampMs } from "../../base/clock.ts";
import { canonicalJson } from "../../base/canonical-json.ts";
import type { DocumentProblem, ReadDocument } from "../../base/document.ts";
import { sha256Hex } from "../../base/hash.ts";
import type { Json, JsonObject } from "../../base/json.ts";
import { err, ok, type Result } from "../../base/result.ts";
import type { Priority, RequestAttrs } from "../../action/request.ts";
import {
  attrsCharsMax,
  durationReader,
  requestProblems,
  requestSettings,
  type ReadMs,
} from "../request/written.ts";
import { readSlots, type Slots } from "./cron.ts";
import type { ScheduleSource } from "./schedule-schema.ts";

type Spec = ScheduleSource["spec"];

/** What a slot starts. */
export type ScheduledStart =
  | {
      readonly kind: "playbook";
      readonly path: string;
      readonly digest: string | undefined;
      readonly input: JsonObject;
    }
  | {
      readonly kind: "request";
      readonly attrs: RequestAttrs;
      readonly entity: string;
      readonly priority: Priority | undefined;
    };

/** A schedule that was parsed and checked. Times in milliseconds, since the Unix epoch where they are dates. */
export type Schedule = {
  readonly kind: "schedule";
  readonly name: string;
  /** The first 16 hex digits of the canonical source's SHA-256. */
  readonly version: string;
  readonly mode: "live" | "off";
  readonly slots: Slots;
  readonly start: ScheduledStart;
  readonly overlap: NonNullable<Spec["overlap"]>;
  readonly catchUp: { readonly policy: "none" | "last" | "all"; readonly windowMs: number };
  readonly backfill: { readonly fromMs: number; readonly toMs: number } | undefined;
};

const windowMsDefault = 3_600_000;

/** @returns the schedule; refused with every problem, each with its place in the file. */
export function compileSchedule(
  document: ReadDocument<ScheduleSource>,
): Result<Schedule, readonly DocumentProblem[]> {
  const source = document.value;
  const { spec, metadata } = source;
  const problems: DocumentProblem[] = [];
  const tell = (path: readonly string[], message: string): void => {
    problems.push(document.problem(["spec", ...path], message));
  };
  const ms = durationReader(document, problems);
  const slots = readSlots(spec.cron, spec.timezone ?? "UTC");
  if (!slots.ok) tell([slots.error.part], slots.error.message);
  const start = startOf(document, ms, problems);
  const window = spec.catch_up?.window;
  const windowMs = window === undefined ? windowMsDefault : ms(["catch_up", "window"], window);
  const backfill = backfillOf(spec.backfill, tell);
  if (!slots.ok || start === undefined || problems.length > 0) return err(problems);
  return ok({
    kind: "schedule",
    name: metadata.name,
    version: sha256Hex(canonicalJson(source as Json)).slice(0, 16),
    mode: spec.mode ?? "live",
    slots: slots.value,
    start,
    overlap: spec.overlap ?? "skip",
    catchUp: { policy: spec.catch_up?.policy ?? "last", windowMs },
    backfill,
  });
}

function startOf(
  document: ReadDocument<ScheduleSource>,
  ms: ReadMs,
  problems: DocumentProblem[],
): ScheduledStart | undefined {
  const { metadata, spec } = document.value;
  const { playbook, request } = spec;
  const refuse = (path: readonly string[], message: string): void => {
    problems.push(document.problem(["spec", ...path], message));
  };
  if ((playbook === undefined) === (request === undefined)) {
    refuse([], "a schedule starts one thing: give playbook or request");
    return undefined;
  }
  const tooLong = (path: readonly string[], value: Json): boolean => {
    const chars = JSON.stringify(value).length;
    if (chars <= attrsCharsMax) return false;
    refuse(path, `${String(chars)} characters are too many: at most ${String(attrsCharsMax)}`);
    return true;
  };
  if (playbook !== undefined) {
    const input = (playbook.input ?? {}) as JsonObject;
    if (tooLong(["playbook", "input"], input)) return undefined;
    return { kind: "playbook", path: playbook.path, digest: playbook.version, input };
  }
  if (request === undefined) return undefined;
  const { concurrency, rate, compensate } = request;
  const attrs: RequestAttrs = {
    command: request.command,
    args: (request.args ?? {}) as JsonObject,
    ...requestSettings(request, ms),
    ...(concurrency && { concurrency }),
    ...(rate && {
      rate: {
        key: rate.key,
        limit: rate.limit,
        per_sec: ms(["request", "rate", "per"], rate.per) / 1_000,
      },
    }),
    ...(compensate && {
      compensate: { command: compensate.command, args: (compensate.args ?? {}) as JsonObject },
    }),
  };
  problems.push(...requestProblems(document, attrs));
  if (tooLong(["request"], attrs)) return undefined;
  const entity = request.entity ?? `schedule:${metadata.name}`;
  return { kind: "request", attrs, entity, priority: request.priority };
}

function backfillOf(
  written: Spec["backfill"],
  tell: (path: readonly string[], message: string) => void,
): Schedule["backfill"] {
  if (written === undefined) return undefined;
  const read = (name: "from" | "to"): number => {
    const atMs = parseTimestampMs(written[name]);
    if (atMs === undefined) {
      const message = `"${written[name]}" is no time: write one with its zone, as in 2026-01-01T00:00:00Z`;
      tell(["backfill", name], message);
    }
    return atMs ?? 0;
  };
  const range = { fromMs: read("from"), toMs: read("to") };
  if (range.fromMs > range.toMs) tell(["backfill", "to"], `"to" lies before "from"`);
  return range;
}
