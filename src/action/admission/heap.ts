import TinyQueue from "tinyqueue";

/** A priority queue whose entries may become void: those are skipped, and swept once they are the most. */
export type Heap<T> = {
  readonly push: (entry: T) => void;
  /** The first entry that is live. */
  readonly peek: () => T | undefined;
  readonly pop: () => T | undefined;
};

/** So many entries are kept without a thought. */
const entriesMin = 64;

export function createHeap<T>(
  compare: (left: T, right: T) => number,
  isLive: (entry: T) => boolean,
): Heap<T> {
  let queue = new TinyQueue<T>([], compare);
  let sweepAt = entriesMin;

  const peek = (): T | undefined => {
    for (let top = queue.peek(); top !== undefined; top = queue.peek()) {
      if (isLive(top)) return top;
      queue.pop();
    }
    return undefined;
  };

  return {
    push: (entry) => {
      queue.push(entry);
      if (queue.length < sweepAt) return;
      queue = new TinyQueue<T>(queue.data.filter(isLive), compare);
      sweepAt = Math.max(entriesMin, 2 * queue.length);
    },
    peek,
    pop: () => {
      const top = peek();
      if (top !== undefined) queue.pop();
      return top;
    },
  };
}
