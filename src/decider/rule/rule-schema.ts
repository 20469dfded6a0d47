import Type, { type Static } from "typebox";

const strict = { additionalProperties: false };

const duration = Type.String({ pattern: "^(\\d+(\\.\\d+)?(ms|s|m|h|d))+$" });

const expression = Type.String({ minLength: 1 });

const call = Type.Object(
  {
    command: Type.String({ minLength: 1 }),
    args: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
  },
  strict,
);

/** A rule as people write it. Durations are `30s`, `10m`; expressions are CEL over `event`. */
export const ruleSchema = Type.Object(
  {
    apiVersion: Type.Literal("deed/v1"),
    kind: Type.Literal("Rule"),
    metadata: Type.Object(
      {
        name: Type.String({ pattern: "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", maxLength: 64 }),
        description: Type.Optional(Type.String()),
      },
      strict,
    ),
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
            command: Type.String({ pattern: "^[a-z][a-z0-9_]*(\\.[a-z0-9_]+)*$" }),
            entity: Type.Optional(expression),
            args: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
            idempotency_key: Type.Optional(expression),
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
            concurrency: Type.Optional(
              Type.Object(
                { key: Type.String({ minLength: 1 }), limit: Type.Integer({ minimum: 1 }) },
                strict,
              ),
            ),
            rate: Type.Optional(
              Type.Object(
                {
                  key: Type.String({ minLength: 1 }),
                  limit: Type.Integer({ minimum: 1 }),
                  per: duration,
                },
                strict,
              ),
            ),
            compensate: Type.Optional(call),
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
