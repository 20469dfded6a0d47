/**
 * Which variable a name means, decided when a template is compiled.
 *
 * 1. A `{% for %}`, `{% with %}` or captured block has variables of its own; an `{% if %}` has not.
 * 2. A variable that is set on some ways only is, on the others, what the name means outside.
 * 3. What no variable can be asked for is a root.
 */
export type Names = {
  /** Variables that the name may mean, innermost first; `root` where none of them is certain to be set. */
  readonly find: (name: string) => { readonly slots: readonly number[]; readonly root: boolean };
  /** The slot of a variable that is set here. */
  readonly set: (name: string) => number;
  /** Compiles a block with variables of its own; gives the slots that were made in it. */
  readonly block: <T>(compile: () => T) => { readonly compiled: T; readonly slots: Slots };
  /** Compiles ways of which one is taken: set is what all of them set. */
  readonly ways: <T>(compile: readonly (() => T)[]) => readonly T[];
  readonly slotCount: () => number;
  /** Whether the variable was asked for. */
  readonly isRead: (slot: number) => boolean;
};

export type Slots = { readonly from: number; readonly to: number };

type Block = { readonly slots: Map<string, number>; certain: Set<string> };

export function createNames(): Names {
  const blocks: Block[] = [{ slots: new Map(), certain: new Set() }];
  const read = new Set<number>();
  let count = 0;
  const innermost = (): Block =>
    blocks[blocks.length - 1] ?? { slots: new Map(), certain: new Set() };
  return {
    find: (name) => {
      const slots: number[] = [];
      for (const block of [...blocks].reverse()) {
        const slot = block.slots.get(name);
        if (slot === undefined) continue;
        slots.push(slot);
        read.add(slot);
        if (block.certain.has(name)) return { slots, root: false };
      }
      return { slots, root: true };
    },
    set: (name) => {
      const { slots, certain } = innermost();
      certain.add(name);
      const known = slots.get(name);
      if (known !== undefined) return known;
      slots.set(name, count);
      count += 1;
      return count - 1;
    },
    block: (compile) => {
      const from = count;
      blocks.push({ slots: new Map(), certain: new Set() });
      const compiled = compile();
      blocks.pop();
      return { compiled, slots: { from, to: count } };
    },
    ways: (compile) => {
      const block = innermost();
      const before = block.certain;
      const after: Set<string>[] = [];
      const compiled = compile.map((one) => {
        block.certain = new Set(before);
        const way = one();
        after.push(block.certain);
        return way;
      });
      const [first = before, ...others] = after;
      block.certain = new Set([...first].filter((name) => others.every((way) => way.has(name))));
      return compiled;
    },
    slotCount: () => count,
    isRead: (slot) => read.has(slot),
  };
}
