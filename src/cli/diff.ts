/** What changed between two texts, line by line. */

/** Lines that are compared: beyond it, the middle is told as one change. */
const cellsMax = 4_000_000;

/** Unchanged lines that are shown around a change. */
const around = 3;

/**
 * The lines of a difference: ` ` unchanged, `-` only in the first, `+` only in the second, `…` where unchanged
 * lines were left out. Empty where nothing changed.
 */
export function diffLines(before: string, after: string): readonly string[] {
  const old = before.split("\n");
  const young = after.split("\n");
  let start = 0;
  while (start < old.length && start < young.length && old[start] === young[start]) start += 1;
  let end = 0;
  while (
    end < old.length - start &&
    end < young.length - start &&
    old[old.length - 1 - end] === young[young.length - 1 - end]
  ) {
    end += 1;
  }
  const head = old.slice(0, start).map((line) => ` ${line}`);
  const tail = old.slice(old.length - end).map((line) => ` ${line}`);
  const middle = changes(
    old.slice(start, old.length - end),
    young.slice(start, young.length - end),
  );
  return middle.length === 0 ? [] : folded([...head, ...middle, ...tail]);
}

/** By the longest common subsequence. */
function changes(old: readonly string[], young: readonly string[]): readonly string[] {
  if (old.length * young.length > cellsMax) {
    return [...old.map((line) => `-${line}`), ...young.map((line) => `+${line}`)];
  }
  const width = young.length + 1;
  const lengths = new Uint32Array((old.length + 1) * width);
  const at = (i: number, j: number): number => lengths[i * width + j] ?? 0;
  for (let i = old.length - 1; i >= 0; i -= 1) {
    for (let j = young.length - 1; j >= 0; j -= 1) {
      lengths[i * width + j] =
        old[i] === young[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
    }
  }
  const lines: string[] = [];
  let i = 0;
  let j = 0;
  while (i < old.length || j < young.length) {
    const [left, right] = [old[i], young[j]];
    if (left !== undefined && left === right) {
      lines.push(` ${left}`);
      i += 1;
      j += 1;
    } else if (left !== undefined && (right === undefined || at(i + 1, j) >= at(i, j + 1))) {
      lines.push(`-${left}`);
      i += 1;
    } else {
      lines.push(`+${right ?? ""}`);
      j += 1;
    }
  }
  return lines;
}

/** Leaves out what is far from every change. */
function folded(lines: readonly string[]): readonly string[] {
  const near = lines.map((_, index) =>
    lines
      .slice(Math.max(0, index - around), index + around + 1)
      .some((line) => !line.startsWith(" ")),
  );
  return lines.flatMap((line, index) => {
    if (near[index] === true) return [line];
    return index === 0 || near[index - 1] === true ? ["…"] : [];
  });
}
