/** Statements as functions that write a render's text. */
import type { Evaluate } from "./calls.ts";
import { compileExpression, compileFilters, type Compiler } from "./compile-expression.ts";
import { templateLimits } from "./limits.ts";
import { textOf } from "./print.ts";
import type { Slots } from "./names.ts";
import type { Body, Node, Statement, Target } from "./syntax.ts";
import {
  TemplateFault,
  fail,
  iterate,
  kindOf,
  spend,
  truthy,
  type Frame,
  type Value,
  isMissing,
  isLoop,
  createLoop,
  isNamespace,
} from "./value.ts";

export type Emit = (frame: Frame) => void;

/** @throws {TemplateFault} */
export function compileBody(body: Body, compiler: Compiler): Emit {
  const emits = body.map((statement) => compileStatement(statement, compiler));
  const [first, second] = emits;
  if (first === undefined) return () => undefined;
  if (second === undefined) return first;
  return (frame) => {
    for (const emit of emits) emit(frame);
  };
}

function compileStatement(statement: Statement, compiler: Compiler): Emit {
  compiler.nodes += 1;
  switch (statement.kind) {
    case "text": {
      const { text } = statement;
      return (frame) => write(text, frame);
    }
    case "print": {
      const evaluate = compileExpression(statement.value, compiler);
      const { at } = statement;
      return (frame) => {
        const value = evaluate(frame);
        frame.at = at;
        write(textOf(value, frame), frame);
      };
    }
    case "if":
      return compileIf(statement, compiler);
    case "for":
      return compileFor(statement, compiler);
    case "set": {
      const evaluate = compileExpression(statement.value, compiler);
      const assign = compileTarget(statement.target, statement.at, compiler);
      return (frame) => assign(evaluate(frame), frame);
    }
    case "capture": {
      const { compiled } = compiler.names.block(() => compileBody(statement.body, compiler));
      const filter = compileFilters(statement.filters, compiler);
      const assign = compileTarget(statement.target, statement.at, compiler);
      return (frame) => assign(filter(captured(compiled, frame), frame), frame);
    }
    case "with":
      return compileWith(statement, compiler);
    case "filtered": {
      const { compiled } = compiler.names.block(() => compileBody(statement.body, compiler));
      const filter = compileFilters(statement.filters, compiler);
      return (frame) => write(textOf(filter(captured(compiled, frame), frame), frame), frame);
    }
  }
}

type Of<Kind extends Statement["kind"]> = Extract<Statement, { readonly kind: Kind }>;

function compileIf({ branches, otherwise }: Of<"if">, compiler: Compiler): Emit {
  const conditions: Evaluate[] = [];
  const bodies = compiler.names.ways([
    ...branches.map(({ condition, body }) => () => {
      conditions.push(compileExpression(condition, compiler));
      return compileBody(body, compiler);
    }),
    () => compileBody(otherwise ?? [], compiler),
  ]);
  return (frame) => {
    const taken = conditions.findIndex((condition) => truthy(condition(frame)));
    bodies.at(taken)?.(frame);
  };
}

function compileFor(statement: Of<"for">, compiler: Compiler): Emit {
  const { names } = compiler;
  const before = compiler.nodes;
  const over = compileExpression(statement.over, compiler);
  const { compiled, slots } = names.block(() => {
    const assign = compileNames(statement.targets, compiler);
    const only =
      statement.only === undefined ? undefined : compileExpression(statement.only, compiler);
    const loopSlot = names.set("loop");
    const body = compileBody(statement.body, compiler);
    return { assign, only, loopSlot, body, loops: names.isRead(loopSlot) };
  });
  const { assign, only, loopSlot, body, loops } = compiled;
  const otherwise = names.block(() => compileBody(statement.otherwise ?? [], compiler)).compiled;
  const pass = { at: statement.at, work: compiler.nodes - before };
  return (frame) => {
    frame.at = pass.at;
    const outer = outerLoop(frame, loops);
    const all = iterate(over(frame), frame);
    const kept =
      only === undefined
        ? all
        : all.filter((item) => {
            step(pass, frame);
            assign(item, frame);
            return truthy(only(frame));
          });
    if (kept.length === 0) {
      otherwise(frame);
      return;
    }
    const loop = createLoop(kept, outer + 1);
    for (const item of kept) {
      step(pass, frame);
      frame.slots.fill(undefined, slots.from, slots.to);
      if (loops) frame.slots[loopSlot] = loop;
      assign(item, frame);
      body(frame);
      loop.index0 += 1;
    }
    forget(frame, slots);
  };
}

function outerLoop(frame: Frame, loops: boolean): number {
  if (!loops) return 0;
  let depth = 0;
  for (const slot of frame.slots) if (isLoop(slot)) depth = Math.max(depth, slot.depth);
  return depth;
}

/** Variables of a block end with it. */
function forget(frame: Frame, { from, to }: Slots): void {
  frame.slots.fill(undefined, from, to);
}

function step(pass: { readonly at: number; readonly work: number }, frame: Frame): void {
  frame.loopStepsLeft -= 1;
  frame.at = pass.at;
  spend(frame, pass.work);
  if (frame.loopStepsLeft >= 0) return;
  fail(
    frame,
    `The template loops more than ${String(templateLimits.loopStepsMax)} times: compute this in a step`,
  );
}

function compileWith({ locals, body }: Of<"with">, compiler: Compiler): Emit {
  // All values are computed before any of the names is set.
  const values = locals.map(([, value]) => compileExpression(value, compiler));
  const { compiled, slots } = compiler.names.block(() => ({
    targets: locals.map(([name]) => compiler.names.set(name)),
    emit: compileBody(body, compiler),
  }));
  return (frame) => {
    const computed = values.map((evaluate) => evaluate(frame));
    compiled.targets.forEach((slot, index) => (frame.slots[slot] = computed[index]));
    compiled.emit(frame);
    forget(frame, slots);
  };
}

type Assign = (value: Value, frame: Frame) => void;

function compileTarget(target: Target, at: number, compiler: Compiler): Assign {
  if (target.kind === "names") return compileNames(target.names, compiler);
  const namespace = compileNamespace(target.namespace, compiler);
  const { name } = target;
  return (value, frame) => {
    const found = namespace(frame);
    frame.at = at;
    if (!isNamespace(found)) {
      const what = isMissing(found) ? "undefined" : kindOf(found);
      fail(frame, `Cannot set .${name} of ${what}: only a namespace() can be changed`);
    }
    found.members.set(name, value);
  };
}

function compileNamespace(node: Node, compiler: Compiler): Evaluate {
  if (node.kind === "name" && compiler.names.find(node.name).slots.length === 0) {
    throw new TemplateFault(
      `Cannot set a member of ${node.name}: make it first ({% set ${node.name} = namespace() %})`,
      node.at,
    );
  }
  return compileExpression(node, compiler);
}

/** One name takes the value; several take one element each. */
function compileNames(names: readonly string[], compiler: Compiler): Assign {
  const slots = names.map((name) => compiler.names.set(name));
  const [only] = slots;
  if (only !== undefined && slots.length === 1) {
    return (value, frame) => {
      frame.slots[only] = value;
    };
  }
  return (value, frame) => {
    const parts = iterate(value, frame);
    if (parts.length !== slots.length) {
      fail(
        frame,
        `Cannot give ${String(parts.length)} values to ${String(slots.length)} names (${names.join(", ")})`,
      );
    }
    slots.forEach((slot, index) => (frame.slots[slot] = parts[index]));
  };
}

/** What a body writes, as a value and not into the text. */
function captured(body: Emit, frame: Frame): string {
  const before = frame.text;
  frame.text = "";
  body(frame);
  const { text } = frame;
  frame.text = before;
  return text;
}

function write(text: string, frame: Frame): void {
  spend(frame, text.length);
  frame.text += text;
  if (frame.text.length > templateLimits.textLengthMax) {
    fail(
      frame,
      `The text is too long: more than ${String(templateLimits.textLengthMax)} characters. Keep large data in a step's result, and refer to it`,
    );
  }
}
