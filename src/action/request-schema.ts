import Type from "typebox";
import { Compile } from "typebox/compile";
import { err, ok, type Result } from "../base/result.ts";
import type { DeedError } from "../event/error.ts";
import { schemaError } from "../event/schema.ts";
import { commandPattern, requestLimits, type RequestAttrs } from "./request.ts";

const strict = { additionalProperties: false };

const args = Type.Record(Type.String(), Type.Unknown());

const command = Type.String({
  pattern: commandPattern,
  maxLength: 128,
  description: "What to do: a dotted lower-case name",
});

const delayMs = Type.Number({ minimum: 0, maximum: requestLimits.delayMsMax });

const key = Type.String({ minLength: 1, maxLength: 512 });

const secretName = Type.String({ maxLength: requestLimits.secretNameCharsMax });

/** What an action is asked with, by whoever asks: the members of `attrs` that people choose. */
export const requestMembers = {
  command,
  args: Type.Optional(args),
  ttl_sec: Type.Optional(Type.Number({ minimum: 0, maximum: requestLimits.ttlSecMax })),
  timeout_sec: Type.Optional(
    Type.Number({ exclusiveMinimum: 0, maximum: requestLimits.timeoutSecMax }),
  ),
  retry: Type.Optional(
    Type.Object(
      {
        attempts: Type.Optional(Type.Integer({ minimum: 1, maximum: requestLimits.attemptsMax })),
        initial_ms: Type.Optional(delayMs),
        max_ms: Type.Optional(delayMs),
        multiplier: Type.Optional(
          Type.Number({ minimum: 1, maximum: requestLimits.multiplierMax }),
        ),
      },
      strict,
    ),
  ),
  concurrency: Type.Optional(
    Type.Object(
      { key, limit: Type.Integer({ minimum: 1, maximum: requestLimits.concurrencyMax }) },
      strict,
    ),
  ),
  rate: Type.Optional(
    Type.Object(
      {
        key,
        limit: Type.Integer({ minimum: 1, maximum: requestLimits.rateMax }),
        per_sec: Type.Number({ exclusiveMinimum: 0, maximum: requestLimits.ratePerSecMax }),
      },
      strict,
    ),
  ),
  secrets: Type.Optional(
    Type.Array(
      Type.Array(Type.Union([secretName, Type.Integer({ minimum: 0 })]), {
        minItems: 1,
        maxItems: requestLimits.secretPathMax,
      }),
      {
        maxItems: requestLimits.secretsMax,
        description:
          "Paths in args of strings that name the keychain, rendered by the worker alone: Bearer {{ keychain.api.token }}",
      },
    ),
  ),
  keychain: Type.Optional(
    Type.Record(Type.String(), secretName, {
      maxProperties: requestLimits.secretsMax,
      description: "The credential's alias for names of the keychain that are not the alias itself",
    }),
  ),
  compensate: Type.Optional(Type.Object({ command, args }, strict)),
};

const actionId = Type.String({ pattern: "^act_[0-9a-f]{32}$" });

/** `attrs` of `action.requested`. */
export const requestAttrsSchema = Type.Object(
  {
    ...requestMembers,
    args,
    compensates: Type.Optional(actionId),
    redrive_of: Type.Optional(actionId),
  },
  {
    ...strict,
    $id: "https://deed.dev/schema/action-request.json",
    title: "Action request",
    description: "attrs of action.requested",
  },
);

const validator = Compile(requestAttrsSchema);

/** Checks attrs that come from outside. */
export function parseRequestAttrs(value: unknown): Result<RequestAttrs, DeedError> {
  if (validator.Check(value)) return ok(value as unknown as RequestAttrs);
  return err(schemaError("request the action", validator.Errors(value)));
}
