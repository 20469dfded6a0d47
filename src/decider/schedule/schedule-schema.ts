import Type, { type Static } from "typebox";
import { duration, metadata, requestMembers, strict } from "../request/written.ts";

const text = Type.String({ minLength: 1, maxLength: 512 });

/**
 * A schedule as people write it. Durations are `30s`, `1h`.
 *
 * - `cron`: five fields (minute hour day month weekday), or six with the second in front; `timezone`: a name
 *   of the IANA database, default `UTC`.
 * - `playbook` or `request`, one of them: what each slot starts. Nothing in them is evaluated: `{{ }}` is text.
 * - `overlap`: what becomes of a slot while the former one's run has not ended: `allow` starts it,
 *   `skip` (default) does not, `queue` starts it afterwards, `cancel_previous` cancels the former one first.
 * - `catch_up`: which slots of a downtime are started afterwards: `none`, the `last` one (default) or `all`,
 *   where they are no older than `window` (default `1h`).
 * - `backfill`: slots of the past, from and to these times, are started once, one after the other.
 * - `jitter`: `none`, as every slot starts at its time.
 * - `mode`: `live` or `off`.
 */
export const scheduleSchema = Type.Object(
  {
    apiVersion: Type.Literal("deed/v1"),
    kind: Type.Literal("Schedule"),
    metadata,
    spec: Type.Object(
      {
        cron: Type.String({ minLength: 1, maxLength: 256 }),
        timezone: Type.Optional(Type.String({ minLength: 1, maxLength: 64 })),
        playbook: Type.Optional(
          Type.Object(
            {
              path: text,
              version: Type.Optional(text),
              input: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
            },
            strict,
          ),
        ),
        request: Type.Optional(
          Type.Object({ ...requestMembers, entity: Type.Optional(text) }, strict),
        ),
        overlap: Type.Optional(
          Type.Union([
            Type.Literal("allow"),
            Type.Literal("skip"),
            Type.Literal("queue"),
            Type.Literal("cancel_previous"),
          ]),
        ),
        catch_up: Type.Optional(
          Type.Object(
            {
              policy: Type.Optional(
                Type.Union([Type.Literal("none"), Type.Literal("last"), Type.Literal("all")]),
              ),
              window: Type.Optional(duration),
            },
            strict,
          ),
        ),
        backfill: Type.Optional(Type.Object({ from: text, to: text }, strict)),
        jitter: Type.Optional(Type.Literal("none")),
        mode: Type.Optional(Type.Union([Type.Literal("live"), Type.Literal("off")])),
      },
      strict,
    ),
  },
  {
    ...strict,
    $id: "https://deed.dev/schema/schedule.json",
    title: "Schedule",
    description: "What is started at which times",
  },
);

export type ScheduleSource = Static<typeof scheduleSchema>;
