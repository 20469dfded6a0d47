/**
 * What a token at one step can still reach: the whole of the join rule, computed once. See `decide/arcs.ts`.
 */

export type Reach = {
  /** Arcs that lead to each step; the start of the execution counts for the entry where arcs lead back. */
  readonly incoming: readonly number[];
  /** For each step the set of steps that can reach it along one arc or more, as 32 steps a word. */
  readonly from: readonly Uint32Array[];
  /** The order of a walk from the entry that finishes children first, reversed: causes before effects. */
  readonly rank: readonly number[];
  /** Steps in the order of their rank. */
  readonly byRank: readonly number[];
};

/** @param arcs for each step the steps that its arcs lead to. */
export function reachOf(arcs: readonly (readonly number[])[], entry: number): Reach {
  const incoming = arcs.map(() => 0);
  const sources = arcs.map((): number[] => []);
  for (const [step, targets] of arcs.entries()) {
    for (const target of targets) {
      incoming[target] = (incoming[target] ?? 0) + 1;
      sources[target]?.push(step);
    }
  }
  const byRank = walk(arcs, entry);
  const rank = arcs.map(() => 0);
  for (const [place, step] of byRank.entries()) rank[step] = place;
  return { incoming, from: sources.map((_, step) => ancestors(sources, step)), rank, byRank };
}

export function maskOf(steps: number): Uint32Array {
  return new Uint32Array(Math.ceil(steps / 32));
}

export function addTo(mask: Uint32Array, step: number): void {
  mask[step >> 5] = (mask[step >> 5] ?? 0) | (1 << (step & 31));
}

export function removeFrom(mask: Uint32Array, step: number): void {
  mask[step >> 5] = (mask[step >> 5] ?? 0) & ~(1 << (step & 31));
}

export function isIn(mask: Uint32Array, step: number): boolean {
  return ((mask[step >> 5] ?? 0) & (1 << (step & 31))) !== 0;
}

/** True where a step other than `except` is in both. */
export function meets(left: Uint32Array, right: Uint32Array, except: number): boolean {
  for (let word = 0; word < left.length; word += 1) {
    let both = (left[word] ?? 0) & (right[word] ?? 0);
    if (word === except >> 5) both &= ~(1 << (except & 31));
    if (both !== 0) return true;
  }
  return false;
}

function ancestors(sources: readonly (readonly number[])[], step: number): Uint32Array {
  const found = maskOf(sources.length);
  const open = [...(sources[step] ?? [])];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    if (isIn(found, next)) continue;
    addTo(found, next);
    open.push(...(sources[next] ?? []));
  }
  return found;
}

/** Reverse postorder from the entry, then the steps that it does not reach, in the order of the file. */
function walk(arcs: readonly (readonly number[])[], entry: number): number[] {
  const seen = new Set<number>([entry]);
  const finished: number[] = [];
  const path: { step: number; next: number }[] = [{ step: entry, next: 0 }];
  for (let top = path.at(-1); top !== undefined; top = path.at(-1)) {
    const target = arcs[top.step]?.[top.next];
    top.next += 1;
    if (target === undefined) {
      finished.push(top.step);
      path.pop();
    } else if (!seen.has(target)) {
      seen.add(target);
      path.push({ step: target, next: 0 });
    }
  }
  const rest = [...arcs.keys()].filter((step) => !seen.has(step));
  return [...finished.reverse(), ...rest];
}
