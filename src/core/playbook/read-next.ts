import { isJsonObject, type JsonObject } from "../../base/json.ts";
import type { Arc, Assignment, Next } from "../playbook.ts";
import { membersOf, readSet } from "./read-set.ts";
import { isList, type Member, type Path, type Reader } from "./reader.ts";
import { knownKeys } from "./schema.ts";

const modes = ["exclusive", "inclusive"] as const;

const nowhere: Next = { mode: "exclusive", onNoMatch: "end", arcs: [] };

/**
 * `next` in all its forms.
 *
 * A list whose items have no condition is a fan-out: each is entered. As soon as one has a condition the
 * list is read as every other: the first that holds.
 */
export function readNext(reader: Reader, step: Member<JsonObject>, model: Path): Next {
  const member = reader.member(step, "next");
  if (member === undefined) return nowhere;
  reader.origin(model, member.path);
  const { value, path } = member;
  const older = readOlderMode(reader, step);
  if (typeof value === "string") {
    return { ...nowhere, arcs: arcsOf(reader, [member], model) };
  }
  if (isList(value)) {
    const items = reader.list(member);
    const conditional = items.some(({ value: item }) => isJsonObject(item) && "when" in item);
    const mode = older ?? (conditional ? "exclusive" : "inclusive");
    return { ...nowhere, mode, arcs: arcsOf(reader, items, model) };
  }
  const next = reader.object(member);
  if (next === undefined) return nowhere;
  if (Object.hasOwn(next.value, "step")) {
    return { ...nowhere, arcs: arcsOf(reader, [{ value, path }], model) };
  }
  reader.keys(next, knownKeys.next, "next");
  const spec = reader.object(reader.member(next, "spec")) ?? { value: {}, path };
  if (spec.path !== path) reader.keys(spec, knownKeys.nextSpec, "next.spec");
  const mode = reader.word(reader.member(spec, "mode"), modes) ?? older ?? "exclusive";
  const noMatch = reader.word(reader.member(spec, "on_no_match"), ["end", "quiet", "fail"]);
  const arcs = reader.required(next, "arcs", "list where it goes on, or leave next out");
  return {
    mode,
    onNoMatch: noMatch === "fail" ? "fail" : "end",
    arcs: arcsOf(reader, reader.list(arcs), model),
  };
}

function readOlderMode(reader: Reader, step: Member<JsonObject>): Next["mode"] | undefined {
  const spec = reader.member(step, "spec");
  if (spec === undefined || !isJsonObject(spec.value)) return undefined;
  return reader.word(reader.member({ value: spec.value, path: spec.path }, "next_mode"), modes);
}

function arcsOf(reader: Reader, items: readonly Member[], model: Path): readonly Arc[] {
  const arcs: Arc[] = [];
  for (const item of items) {
    const arc = readArc(reader, item, [...model, "arcs", arcs.length]);
    if (arc !== undefined) arcs.push(arc);
  }
  return arcs;
}

function readArc(reader: Reader, item: Member, model: Path): Arc | undefined {
  reader.origin(model, item.path);
  if (!isJsonObject(item.value)) {
    reader.origin([...model, "to"], item.path);
    const to = typeof item.value === "string" ? reader.text(item) : undefined;
    return to === undefined ? reader.wrong(item, "the name of a step") : { to, set: [] };
  }
  const arc = { value: item.value, path: item.path };
  reader.keys(arc, knownKeys.arc, "an arc");
  const to = reader.text(reader.required(arc, "step", "name the step that is entered"));
  if (to === undefined) return undefined;
  reader.origin([...model, "to"], [...arc.path, "step"]);
  const when = reader.condition(reader.member(arc, "when"));
  const own = readSet(reader, arc, [...model, "set"]);
  const set = [...own, ...readArgs(reader, arc, [...model, "set", own.length])];
  return when === undefined ? { to, set } : { to, when, set };
}

/** The older `args` of an arc, kept under `ctx`. */
function readArgs(reader: Reader, arc: Member<JsonObject>, first: Path): readonly Assignment[] {
  const args = reader.member(arc, "args");
  const members = membersOf(reader.object(args));
  if (args === undefined || members.length === 0) return [];
  reader.report({
    code: "foreign-word",
    path: args.path,
    message: '"args" of an arc is read as set: each value is ctx.<name>',
    help: 'write "set: {ctx.<name>: …}" and read ctx.<name> in the step that is entered',
    atKey: true,
  });
  return members.map(({ value, path }, index) => {
    reader.origin([...first.slice(0, -1), Number(first.at(-1)) + index, "value"], path);
    return { scope: "ctx", path: [String(path.at(-1))], value };
  });
}
