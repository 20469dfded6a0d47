import Type, { type Static } from "typebox";
import { duration, metadata, requestMembers, strict } from "../request/written.ts";

const expression = Type.String({ minLength: 1 });

/**
 * A rule as people write it. Durations are `30s`, `10m`; expressions are CEL over `event` (see `cel.ts`).
 *
 * - `on`: the event type, dotted; `*` stands for one segment, `**` at the end for one or more.
 * - `when`: must give true. An event that lacks a member which `when` needs does not match: that is how a
 *   rule for one kind of event passes over others. Any other failure, also a value that is neither true
 *   nor false, is recorded as `rule.failed`.
 * - `per`: what cool-down and throttle count by, within the event's tenant; default `event.entity_id`.
 * - `cool_down`: after it fired, a rule rests for that key; `throttle`: it fires at most `count` times
 *   within any window.
 * - `horizon`: an event that is older when the log takes it in never acts; default `10m`.
 * - `mode`: `live` requests, `shadow` records what it would have requested, `off` does nothing.
 * - `request`: what to ask for. In `args` and the keys of limits, `{{ CEL }}` stands for a value; `entity`
 *   and `idempotency_key` are CEL. The key is derived: the rule's name and what `idempotency_key` gives,
 *   else the id of the event.
 */
export const ruleSchema = Type.Object(
  {
    apiVersion: Type.Literal("deed/v1"),
    kind: Type.Literal("Rule"),
    metadata,
    spec: Type.Object(
      {
        on: Type.String({ minLength: 1 }),
        when: Type.Optional(expression),
        per: Type.Optional(expression),
        throttle: Type.Optional(
          Type.Object(
            { count: Type.Integer({ minimum: 1, maximum: 1_000 }), within: duration },
            strict,
          ),
        ),
        cool_down: Type.Optional(duration),
        horizon: Type.Optional(duration),
        mode: Type.Optional(
          Type.Union([Type.Literal("live"), Type.Literal("shadow"), Type.Literal("off")]),
        ),
        request: Type.Object(
          {
            ...requestMembers,
            entity: Type.Optional(expression),
            idempotency_key: Type.Optional(expression),
          },
          strict,
        ),
      },
      strict,
    ),
  },
  strict,
);

export type RuleSource = Static<typeof ruleSchema>;
