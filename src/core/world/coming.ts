/** What is to happen, by its time; at one time as it was asked for, or as a seed chooses. */
import TinyQueue from "tinyqueue";
import type { Random } from "../../base/random.ts";

export type Scheduled = {
  readonly atMs: number;
  readonly tie: number;
  readonly number: number;
  readonly happens: () => void;
};

export class Coming {
  private readonly queue = new TinyQueue<Scheduled>([], earlier);
  private readonly dropped = new Set<Scheduled>();
  private readonly random: Random | undefined;
  private asked = 0;

  constructor(random: Random | undefined) {
    this.random = random;
  }

  get size(): number {
    return this.queue.length - this.dropped.size;
  }

  add(atMs: number, happens: () => void): Scheduled {
    this.asked += 1;
    const scheduled = { atMs, tie: this.random?.() ?? 0, number: this.asked, happens };
    this.queue.push(scheduled);
    return scheduled;
  }

  drop(scheduled: Scheduled | undefined): void {
    if (scheduled !== undefined) this.dropped.add(scheduled);
  }

  first(): Scheduled | undefined {
    for (let first = this.queue.peek(); first !== undefined; first = this.queue.peek()) {
      if (!this.dropped.delete(first)) return first;
      this.queue.pop();
    }
    return undefined;
  }

  take(): void {
    this.queue.pop();
  }
}

function earlier(left: Scheduled, right: Scheduled): number {
  return left.atMs - right.atMs || left.tie - right.tie || left.number - right.number;
}
