/** Renders, and turns what a template refuses into an error that says where. */
import type { Json, JsonObject } from "../../base/json.ts";
import { isJsonObject } from "../../base/json.ts";
import { err, ok, type Result } from "../../base/result.ts";
import { deedError, type DeedError } from "../../event/error.ts";
import type { NumberProgram } from "../program/model.ts";
import type { Condition, Scope, TemplateProblem } from "../template.ts";

type Renders = {
  readonly render: (
    scope: Scope,
  ) => Result<Json, TemplateProblem & { readonly path?: readonly (string | number)[] }>;
};

/** @param member what is rendered, for the message: `set ctx.page`. */
export function rendered(template: Renders, scope: Scope, member: string): Result<Json, DeedError> {
  const given = template.render(scope);
  if (given.ok) return given;
  const { path = [] } = given.error;
  return err(problem([member, ...path].join("."), given.error));
}

export function renderedObject(
  template: Renders,
  scope: Scope,
  member: string,
): Result<JsonObject, DeedError> {
  const given = rendered(template, scope, member);
  if (!given.ok) return given;
  return ok(isJsonObject(given.value) ? given.value : {});
}

export function holds(
  condition: Condition | undefined,
  scope: Scope,
  member: string,
): Result<boolean, DeedError> {
  if (condition === undefined) return ok(true);
  const given = condition.render(scope);
  return given.ok ? given : err(problem(member, given.error));
}

/** A number as it stands, or from a template that gives a number or its decimal text. */
export function numberOf(
  number: NumberProgram,
  scope: Scope,
  member: string,
): Result<number, DeedError> {
  if (typeof number === "number") return ok(number);
  const given = rendered(number, scope, member);
  if (!given.ok) return given;
  const { value } = given;
  if (typeof value === "number") return ok(value);
  if (typeof value === "string" && /^\s*-?\d+(\.\d+)?\s*$/.test(value)) return ok(Number(value));
  return err(
    deedError(
      "invalid_args",
      `Cannot use ${member} as it is no number: got ${JSON.stringify(value)}`,
      {
        member,
      },
    ),
  );
}

function problem(member: string, { message, at }: TemplateProblem): DeedError {
  return deedError("invalid_args", `Cannot render ${member} at offset ${String(at)}: ${message}`, {
    member,
    offset: at,
  });
}
