/** The format of `<name>.test.yaml`: see `../playbook-tests.ts`. */
import Type, { type Static, type TSchema } from "typebox";
import type { Json } from "../../base/json.ts";
import { errorKinds, type ErrorKind } from "../../event/error.ts";

const strict = { additionalProperties: false };

const duration = Type.String({
  pattern: "^(\\d+(\\.\\d+)?(ms|s|m|h|d))+$",
  description: "a number and a unit, as in 250ms, 30s, 10m, 1h30m, 7d",
});

const json = Type.Unsafe<Json>(Type.Unknown());

const members = Type.Record(Type.String(), json);

const byStep = <T extends TSchema>(schema: T) => Type.Record(Type.String(), schema);

const outcome = Type.Object(
  {
    data: Type.Optional(json),
    error: Type.Optional(
      Type.Object(
        {
          kind: Type.Unsafe<ErrorKind>(Type.Union(errorKinds.map((kind) => Type.Literal(kind)))),
          message: Type.Optional(Type.String()),
          retryable: Type.Optional(Type.Boolean()),
          status: Type.Optional(Type.Integer()),
        },
        strict,
      ),
    ),
    hangs: Type.Optional(Type.Boolean()),
    after: Type.Optional(duration),
  },
  strict,
);

const asked = Type.Object({ after: duration, reason: Type.Optional(Type.String()) }, strict);

const given = Type.Object(
  {
    start: Type.Optional(members),
    env: Type.Optional(members),
    outcomes: Type.Optional(byStep(Type.Union([outcome, Type.Array(outcome, { minItems: 1 })]))),
    cancel: Type.Optional(asked),
    pause: Type.Optional(Type.Object({ after: duration, until: duration }, strict)),
    seed: Type.Optional(Type.Union([Type.String(), Type.Integer()])),
  },
  strict,
);

const then = Type.Object(
  {
    status: Type.Optional(
      Type.Union([
        Type.Literal("COMPLETED"),
        Type.Literal("FAILED"),
        Type.Literal("CANCELLED"),
        Type.Literal("WAITING"),
      ]),
    ),
    failed: Type.Optional(Type.Array(Type.String())),
    error: Type.Optional(Type.String()),
    result: Type.Optional(json),
    entered: Type.Optional(byStep(Type.Integer({ minimum: 0 }))),
    never_entered: Type.Optional(Type.Array(Type.String())),
    data: Type.Optional(byStep(json)),
    ctx: Type.Optional(members),
    commands: Type.Optional(
      Type.Array(
        Type.Object(
          {
            step: Type.String(),
            task: Type.Optional(Type.String()),
            kind: Type.Optional(Type.String()),
            item: Type.Optional(Type.Union([Type.String(), Type.Integer()])),
            attempt: Type.Optional(Type.Integer({ minimum: 1 })),
            args: Type.Optional(members),
          },
          strict,
        ),
      ),
    ),
  },
  strict,
);

export const playbookTestsSchema = Type.Object(
  {
    tests: Type.Array(
      Type.Object(
        { name: Type.String({ minLength: 1 }), given: Type.Optional(given), then },
        strict,
      ),
      { minItems: 1 },
    ),
  },
  strict,
);

export type PlaybookTest = Static<typeof playbookTestsSchema>["tests"][number];

export type Given = Static<typeof given>;

export type Then = Static<typeof then>;

export type GivenOutcome = Static<typeof outcome>;

/** What is wrong, and where below the member that is looked at. */
export type Difference = { readonly path: readonly (string | number)[]; readonly message: string };
