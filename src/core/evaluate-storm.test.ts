/** Everything at once: all kinds of steps, answers and timers in any order, pauses, cancels, repeats. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { playbook, type RuleNote } from "../../test/core/notation.ts";
import { Play, type Answer } from "../../test/core/play.ts";

const retry: RuleNote = { when: "output.status == 'error'", do: "retry", attempts: 2, delay: 1 };
const handle: RuleNote = { when: "output.error.kind == 'timeout'", do: "continue" };

const everything = playbook({
  timeoutMs: 1_000_000,
  steps: {
    start: { mode: "inclusive", next: ["list", "rows", "line", "child"] },
    list: {
      timeoutMs: 50_000,
      loop: { in: [1, 2, 3], max: 2 },
      tool: [{ name: "one", rules: [handle, retry] }, { name: "two" }],
      next: "join",
    },
    rows: {
      loop: { cursor: { query: "q" }, max: 2 },
      tool: { rules: [handle, retry], set: { "ctx.seen": "{{ (ctx.seen | default(0)) + 1 }}" } },
      next: "join",
    },
    line: {
      timeoutMs: 60_000,
      tool: [
        { name: "a", rules: [retry] },
        { name: "b", rules: [{ when: "output.data.n == 1", do: "jump", to: "a" }, handle] },
      ],
      next: [{ to: "line", when: "event.name == 'call.error'" }, "join"],
    },
    child: { tool: { kind: "playbook", rules: [handle] }, next: "join" },
    join: { tool: { input: { all: "{{ list.results }}", ctx: "{{ ctx.seen }}" } } },
  },
});

type Move =
  | { readonly do: "answer"; readonly which: number; readonly how: "ok" | "timeout" | "broken" }
  | { readonly do: "fire"; readonly which: number }
  | { readonly do: "pause" | "resume" | "repeat" }
  | { readonly do: "cancel" };

const move: fc.Arbitrary<Move> = fc.oneof(
  {
    weight: 20,
    arbitrary: fc.record({
      do: fc.constant("answer" as const),
      which: fc.nat(),
      how: fc.constantFrom(
        "ok" as const,
        "ok" as const,
        "ok" as const,
        "timeout" as const,
        "broken" as const,
      ),
    }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("fire" as const), which: fc.nat() }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constantFrom("pause" as const, "resume" as const, "repeat" as const),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("cancel" as const) }) },
);

function answerOf(key: string, how: "ok" | "timeout" | "broken"): Exclude<Answer, "open"> {
  if (how === "ok") {
    const claim = /claim-(\d+)/.exec(key)?.[1];
    if (claim === undefined) return { ok: { n: key.length % 2 } };
    return { ok: { rows: Number(claim) < 3 ? [{ id: 1 }, { id: 2 }] : [] } };
  }
  const kind = how === "timeout" ? "timeout" : "executor_error";
  return { error: { kind, message: how, retryable: false } };
}

function make(play: Play, next: Move): void {
  switch (next.do) {
    case "answer": {
      const open = play.openKeys();
      const key = open[next.which % Math.max(1, open.length)];
      if (key !== undefined) play.answer(key, answerOf(key, next.how));
      return;
    }
    case "fire": {
      const timers = (play.last?.timers ?? []).filter(
        ({ name }) => name !== "execution" || next.which % 9 === 0,
      );
      const timer = timers[next.which % Math.max(1, timers.length)];
      if (timer !== undefined) play.fire(timer.name);
      return;
    }
    case "repeat": {
      const command = play.commands.at(-2);
      if (command !== undefined && !play.openKeys().includes(command.key))
        play.answered(command.place, { ok: 1 });
      return;
    }
    case "pause":
      play.input("execution.paused");
      return;
    case "resume":
      play.input("execution.resumed");
      return;
    case "cancel":
      play.input("execution.cancel_requested");
  }
}

test("it ends once, nothing is left waiting, and every way of driving it gives the same bytes", () => {
  const ends = new Map<string, number>();
  fc.assert(
    fc.property(fc.array(move, { maxLength: 60 }), (moves) => {
      const play = new Play(everything).start();
      for (const next of moves) make(play, next);
      play.input("execution.resumed");
      for (let turn = 0; play.status === undefined; turn += 1) {
        const [open] = play.openKeys();
        const [timer] = [...(play.last?.timers ?? [])].sort((a, b) => a.dueMs - b.dueMs);
        expect(open ?? timer, "live work").toBeDefined();
        if (open !== undefined)
          play.answer(open, turn < 300 ? { ok: { n: 0, rows: [] } } : answerOf(open, "broken"));
        else if (timer !== undefined) play.fire(timer.name);
      }
      ends.set(play.status, (ends.get(play.status) ?? 0) + 1);
      const terminal = play.events.filter(({ type }) =>
        /^execution\.(completed|failed|cancelled)$/.test(type),
      );
      expect(terminal).toHaveLength(1);
      expect(play.last?.timers).toEqual([]);
      expect(new Set(play.keys()).size).toBe(play.keys().length);
      play.proved();
    }),
    { numRuns: 80 },
  );
  expect([...ends.keys()].sort(), "the storm reaches all three ends").toEqual([
    "CANCELLED",
    "COMPLETED",
    "FAILED",
  ]);
});
