/** What a schedule remembers. All times in ms since the Unix epoch. */
import Type, { type Static } from "typebox";
import { Compile } from "typebox/compile";
import type { Json } from "../../base/json.ts";
import { err, ok, type Result } from "../../base/result.ts";

const strict = { additionalProperties: false };

const ms = Type.Number();

const trigger = Type.Union([
  Type.Literal("slot"),
  Type.Literal("catch_up"),
  Type.Literal("backfill"),
]);

/** Why a slot is started: as it fell due, after a downtime, or as a backfill asked for it. */
export type Trigger = Static<typeof trigger>;

const run = Type.Object(
  {
    slotMs: ms,
    trigger,
    kind: Type.Union([Type.Literal("action"), Type.Literal("execution")]),
    /** `action_id` or `execution_id`. */
    id: Type.String(),
    /** `entity_id` of its request. */
    entity: Type.String(),
    cancelling: Type.Boolean(),
  },
  strict,
);

/** What a slot started, and what has not ended. */
export type Run = Static<typeof run>;

const range = Type.Object(
  {
    trigger: Type.Union([Type.Literal("catch_up"), Type.Literal("backfill")]),
    /** The slot to start next; `toMs` is the last one of interest. */
    nextMs: ms,
    toMs: ms,
  },
  strict,
);

/** Slots that are started one after the other. */
export type Range = Static<typeof range>;

const stretch = Type.Object(
  { cron: Type.String(), timezone: Type.String(), fromMs: ms, toMs: ms, nextMs: Type.Number() },
  strict,
);

/** Every slot of this expression from `fromMs` to `toMs` was started; `nextMs` is the one behind. */
export type Stretch = Static<typeof stretch>;

const memory = Type.Object(
  {
    active: Type.Boolean(),
    /** No slot up to here falls due any more. */
    doneMs: ms,
    /** The slot that falls due next: what the timer waits for. */
    nextMs: Type.Optional(ms),
    /** When there was last something to start: rises with every look. */
    workMs: ms,
    /** Started, and not seen on the log yet. */
    planned: Type.Array(Type.Object({ slotMs: ms, trigger }, strict)),
    runs: Type.Array(run),
    /** The slot that waits for the end of what runs. */
    queuedMs: Type.Optional(ms),
    ranges: Type.Array(range),
    /** The backfill that was last begun, `from/to`. */
    backfill: Type.Optional(Type.String()),
    fired: Type.Array(stretch),
  },
  strict,
);

export type Memory = Static<typeof memory>;

/** What the last record led to. */
export type Decision =
  | { readonly kind: "fire"; readonly slotMs: number; readonly trigger: Trigger }
  | {
      readonly kind: "skip";
      readonly reason: SkipReason;
      /** The first and the last slot that is not started, and how many there are. */
      readonly fromMs: number;
      readonly toMs: number;
      readonly count: number;
      /** There are more than `count`. */
      readonly more: boolean;
      /** The run that it would have overlapped. */
      readonly holder: string | undefined;
    }
  | { readonly kind: "cancel"; readonly run: Run; readonly forMs: number };

/**
 * Why a slot is not started: its time passed in a downtime (`missed`), the former one runs (`overlap`), too
 * many run (`limit`), or the schedule was ended before it could (`inactive`).
 */
export type SkipReason = "missed" | "overlap" | "limit" | "inactive";

export type ScheduleState = {
  readonly memory: Memory;
  readonly decisions: readonly Decision[];
};

export const initialState: ScheduleState = {
  memory: { active: false, doneMs: 0, workMs: 0, planned: [], runs: [], ranges: [], fired: [] },
  decisions: [],
};

const validator = Compile(memory);

/** Decisions are told in the commit in which they are made: no snapshot holds them. */
export function encodeState({ memory }: ScheduleState): Json {
  return memory;
}

export function decodeState(snapshot: Json): Result<ScheduleState, string> {
  return validator.Check(snapshot)
    ? ok({ memory: snapshot, decisions: [] })
    : err("not the state of a schedule");
}
