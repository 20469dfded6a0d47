import { isJsonObject, type JsonObject } from "../../base/json.ts";
import type { Assignment } from "../playbook.ts";
import type { Member, Path, Reader } from "./reader.ts";

const scopes = ["ctx", "iter", "step"] as const;

/** `set`, and the older `set_ctx` and `set_iter` beside it. */
export function readSet(
  reader: Reader,
  of: Member<JsonObject>,
  model: Path,
): readonly Assignment[] {
  const assignments: Assignment[] = [];
  const add = (assignment: Assignment, source: Path): void => {
    reader.origin([...model, assignments.length, "value"], source);
    assignments.push(assignment);
  };
  const set = reader.object(reader.member(of, "set"));
  for (const member of membersOf(set)) {
    const key = String(member.path.at(-1));
    const scope = scopes.find((one) => one === key);
    if (scope === undefined || !isJsonObject(member.value)) {
      const target = targetOf(reader, member);
      if (target !== undefined) add({ ...target, value: member.value }, member.path);
      continue;
    }
    for (const inner of membersOf({ value: member.value, path: member.path })) {
      const path = pathOf(reader, inner, String(inner.path.at(-1)));
      if (path !== undefined) add({ scope, path, value: inner.value }, inner.path);
    }
  }
  for (const scope of ["ctx", "iter"] as const) {
    for (const member of membersOf(reader.object(reader.member(of, `set_${scope}`)))) {
      const path = pathOf(reader, member, String(member.path.at(-1)));
      if (path !== undefined) add({ scope, path, value: member.value }, member.path);
    }
  }
  return assignments;
}

/** The members of a mapping; a value that is left empty is null. */
export function membersOf(of: Member<JsonObject> | undefined): readonly Member[] {
  if (of === undefined) return [];
  return Object.entries(of.value).flatMap(([key, value]) =>
    value === undefined ? [] : [{ value, path: [...of.path, key] }],
  );
}

function targetOf(reader: Reader, member: Member): Omit<Assignment, "value"> | undefined {
  const key = String(member.path.at(-1));
  const dot = key.indexOf(".");
  const scope = scopes.find((one) => one === key.slice(0, dot));
  if (key.startsWith("workload.")) {
    reader.report({
      code: "wrong-value",
      path: member.path,
      message: `"${key}" cannot be set as the workload never changes`,
      help: `set "ctx.${key.slice("workload.".length)}" and read it there`,
      atKey: true,
    });
    return undefined;
  }
  const path = pathOf(reader, member, scope === undefined ? key : key.slice(dot + 1));
  return path === undefined ? undefined : { scope: scope ?? "iter", path };
}

function pathOf(reader: Reader, member: Member, name: string): readonly string[] | undefined {
  const path = name.split(".");
  if (path.every((part) => part.trim() !== "")) return path;
  reader.report({
    code: "wrong-value",
    path: member.path,
    message: `"${String(member.path.at(-1))}" names no value to set`,
    help: "write ctx.<name>, iter.<name> or step.<name>",
    atKey: true,
  });
  return undefined;
}
