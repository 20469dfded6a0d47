import { describe, expect, it } from "vitest";
import type { Json, JsonObject } from "../base/json.ts";
import { changeLines } from "./progress/lines.ts";
import { drawProgress, type View } from "./progress/tree.ts";
import { createProgress, foldProgress, type Progress, type ProgressEvent } from "./progress.ts";
import { cells } from "./terminal.ts";

const startMs = Date.parse("2026-11-24T05:00:00.000Z");

type Told = { readonly at?: number; readonly of?: string; readonly parent?: string };

function event(
  type: string,
  members: {
    readonly tags?: ProgressEvent["tags"];
    readonly attrs?: JsonObject;
    readonly action?: string;
  },
  { at = 0, of = "1", parent }: Told = {},
): ProgressEvent {
  return {
    event_type: type,
    ts: new Date(startMs + at).toISOString(),
    execution_id: of,
    ...(parent === undefined ? {} : { parent_execution_id: parent }),
    ...(members.action === undefined ? {} : { action_id: members.action }),
    tags: members.tags ?? {},
    attrs: members.attrs ?? {},
  };
}

const requested = (playbook: string, told: Told = {}, tags = {}) =>
  event("execution.requested", { tags, attrs: { playbook } }, told);

const began = (step: string, told: Told = {}, tags = {}) =>
  event("execution.started", { tags, attrs: { entered: [{ step, activation: 1 }] } }, told);

const place = (step: string, item = "-", attempt = 1) => ({
  step,
  activation: 1,
  item,
  task: step,
  attempt,
});

const asked = (
  step: string,
  command: string,
  given: { item?: string; attempt?: number; args?: JsonObject; action?: string } = {},
) =>
  event("action.requested", {
    tags: place(step, given.item, given.attempt),
    attrs: { command, args: given.args ?? {} },
    action: given.action ?? "act_1",
  });

const decided = (step: string, verdict: Json, item = "-") =>
  event("task.decided", { tags: place(step, item), attrs: { verdict } });

const completed = (step: string, at: number, next?: string) =>
  event(
    "step.completed",
    {
      tags: { step, activation: 1 },
      attrs: { entered: next === undefined ? [] : [{ step: next, activation: 1 }] },
    },
    { at },
  );

function folded(...events: readonly ProgressEvent[]): Progress {
  return events.reduce(foldProgress, createProgress("1"));
}

function drawn(progress: Progress, view: Partial<View> = {}): readonly string[] {
  const given = { width: 60, rowsMax: 40, nowMs: startMs + 2_000, ...view };
  return drawProgress(progress, given).map((line) => line.map(({ text }) => text).join(""));
}

describe("the progress of an execution", () => {
  it("is a tree of its steps, each with what it stands at and how long it took", () => {
    const progress = folded(
      requested("night"),
      began("start"),
      asked("start", "python"),
      decided("start", { do: "continue" }),
      completed("start", 340, "fetch"),
      asked("fetch", "http"),
    );
    expect(drawn(progress)).toEqual([
      "● night  execution 1  running                          2.0 s",
      "├ ✓ start  python                                     340 ms",
      "└ ● fetch  http                                        1.7 s",
    ]);
  });

  it("says how a failed one failed, and what was stopped with it", () => {
    const error = { kind: "timeout", message: "too\nlate" };
    const progress = folded(
      requested("night"),
      event("execution.started", {
        attrs: {
          entered: [
            { step: "a", activation: 1 },
            { step: "b", activation: 1 },
          ],
        },
      }),
      event("step.failed", { tags: { step: "a", activation: 1 }, attrs: { error } }, { at: 10 }),
      event("execution.failed", { attrs: { error } }, { at: 20 }),
    );
    expect(drawn(progress)).toEqual([
      "✗ night  execution 1  failed  timeout: too late        20 ms",
      "├ ✗ a  timeout: too late                               10 ms",
      "└ ■ b  stopped                                         20 ms",
    ]);
    expect(progress.executions.get("1")).toMatchObject({
      status: "failed",
      error: "timeout: too\nlate",
    });
  });

  it("tells of a retry when it comes and why, and how many attempts there were", () => {
    const failed = event("action.failed", {
      tags: place("start"),
      attrs: { error: { kind: "unavailable", message: "busy" } },
      action: "act_1",
    });
    const waits = folded(
      requested("night"),
      began("start"),
      asked("start", "http"),
      failed,
      decided("start", { do: "retry", due_ms: startMs + 3_500 }),
    );
    expect(drawn(waits, { width: 64 })[1]).toBe(
      "└ ○ start  http  attempt 2 in 1.5 s  unavailable: busy     2.0 s",
    );
    foldProgress(waits, asked("start", "http", { attempt: 2, action: "act_2" }));
    expect(drawn(waits)[1]).toBe("└ ● start  http  attempt 2                             2.0 s");
    foldProgress(waits, decided("start", { do: "continue" }));
    foldProgress(waits, completed("start", 4_000));
    expect(drawn(waits)[1]).toBe("└ ✓ start  http  2 attempts                            4.0 s");
  });

  it("tells what an approval asks", () => {
    const progress = folded(
      requested("night"),
      began("ask"),
      asked("ask", "approval", { args: { message: "go on?" } }),
      event("action.deferred", {
        tags: place("ask"),
        attrs: { reason: "approval" },
        action: "act_1",
      }),
    );
    expect(drawn(progress)[1]).toBe("└ ○ ask  approval  waits for approval: go on?          2.0 s");
  });

  it("ignores what counted for nothing, and what is of others", () => {
    const progress = folded(requested("night"), began("start"));
    const before = drawn(progress);
    foldProgress(progress, event("execution.completed", { tags: { anomaly: "terminal" } }));
    foldProgress(progress, requested("other", { of: "2" }));
    foldProgress(progress, event("execution.paused", {}, { of: "2" }));
    expect(drawn(progress)).toEqual(before);
  });
});

describe("a loop", () => {
  const looping = () =>
    folded(
      requested("night"),
      began("each"),
      event("loop.started", {
        tags: { step: "each", activation: 1 },
        attrs: { items: [1, 2, 3, 4] },
      }),
      asked("each", "http", { item: "0" }),
      asked("each", "http", { item: "1" }),
      asked("each", "http", { item: "2" }),
    );

  it("is a bar of what is done; a pipeline's item is done with its last task", () => {
    const progress = looping();
    foldProgress(progress, decided("each", { do: "continue" }, "0"));
    foldProgress(progress, decided("each", { do: "fail" }, "1"));
    expect(drawn(progress, { width: 64 })[1]).toBe(
      "└ ● each  http  ████████░░░░░░░░ 2/4  1 running  1 failed  2.0 s",
    );
    foldProgress(progress, asked("each", "python", { item: "0" }));
    expect(progress.executions.get("1")?.activations[0]?.loop).toMatchObject({
      open: 2,
      done: 0,
      failed: 1,
    });
  });

  it("shows the items that wait, and keeps nothing of those that are done", () => {
    const progress = looping();
    foldProgress(progress, decided("each", { do: "retry", due_ms: startMs + 4_000 }, "2"));
    expect(drawn(progress).slice(1)).toEqual([
      "└ ● each  http  ░░░░░░░░░░░░░░░░ 0/4  3 running        2.0 s",
      "  └ ○ item 2  attempt 2 in 2.0 s",
    ]);
    for (const item of ["0", "1", "2"])
      foldProgress(progress, decided("each", { do: "continue" }, item));
    expect(progress.executions.get("1")?.activations[0]?.commands.size).toBe(0);
    foldProgress(progress, completed("each", 900));
    expect(drawn(progress)[1]).toBe("└ ✓ each  http  ████████████░░░░ 3/4                  900 ms");
  });

  it("counts an outcome that no rule spoke of, and takes it back where one does", () => {
    const progress = looping();
    const ended = (type: string, item: string) =>
      event(type, { tags: place("each", item), attrs: { error: {} }, action: "act_1" });
    foldProgress(progress, ended("action.succeeded", "0"));
    foldProgress(progress, ended("action.failed", "1"));
    const loop = progress.executions.get("1")?.activations[0]?.loop;
    expect(loop).toMatchObject({ open: 1, done: 1, failed: 1 });
    foldProgress(progress, decided("each", { do: "retry", due_ms: startMs }, "0"));
    foldProgress(progress, decided("each", { do: "continue" }, "1"));
    expect(loop).toMatchObject({ open: 2, done: 1, failed: 0 });
  });

  it("shows its sub-playbooks while they run", () => {
    const tags = place("each", "3");
    const child = { of: "7", parent: "1" };
    const progress = folded(
      requested("night"),
      began("each"),
      event("loop.started", { tags: { step: "each", activation: 1 }, attrs: { items: [1, 2] } }),
      requested("shop", child, tags),
      began("start", child, tags),
    );
    expect(drawn(progress).slice(2)).toEqual([
      "  └ ● shop  item 3  running                            2.0 s",
      "    └ ● start                                          2.0 s",
    ]);
    foldProgress(progress, event("execution.completed", { tags, attrs: { result: 5 } }, child));
    expect(drawn(progress)).toHaveLength(2);
    foldProgress(progress, completed("each", 900));
    expect([...progress.executions.keys()]).toEqual(["1"]);
    expect(drawn(progress)[1]).toContain(" 1/2 ");
  });
});

describe("the picture", () => {
  it("is no wider than the view, wide characters count twice, and control characters are none", () => {
    const progress = folded(
      requested("夜の見回り\u001b[31m"),
      began("start-with-a-long-name".repeat(4)),
    );
    for (const width of [20, 33, 80]) {
      for (const line of drawn(progress, { width })) {
        expect(cells(line)).toBeLessThanOrEqual(width);
        expect(line).not.toContain("\u001b");
      }
    }
    expect(drawn(progress, { width: 20 })[0]).toBe("● 夜の見回り…  2.0 s");
  });

  it("has no more lines than there is room: what has ended goes first", () => {
    const entered = ["a", "b", "c", "d", "e", "f"].map((step) => ({ step, activation: 1 }));
    const progress = folded(
      requested("night"),
      event("execution.started", { attrs: { entered } }),
      completed("a", 1),
      completed("b", 2),
      completed("c", 3),
    );
    expect(drawn(progress, { rowsMax: 5 }).map((line) => line.trim().split("  ")[0])).toEqual([
      "● night",
      "… 3 more",
      "├ ● d",
      "├ ● e",
      "└ ● f",
    ]);
    expect(drawn(progress, { rowsMax: 4 })).toHaveLength(4);
  });
});

describe("without a terminal", () => {
  it("each change is a line with the time since the beginning", () => {
    const events = [
      requested("night"),
      began("each"),
      event("loop.started", { tags: { step: "each", activation: 1 }, attrs: { items: [1] } }),
      requested("shop", { of: "7", parent: "1" }, place("each", "0")),
      event(
        "execution.failed",
        { tags: place("each", "0"), attrs: { error: { kind: "timeout", message: "late" } } },
        { of: "7", parent: "1", at: 40 },
      ),
      decided("each", { do: "retry", due_ms: startMs + 1_000 }, "0"),
      decided("each", { do: "continue" }, "0"),
      completed("each", 1_200, "end"),
      event("step.skipped", { tags: { step: "end", activation: 1 } }, { at: 1_300 }),
      event("execution.completed", { attrs: { result: 1 } }, { at: 1_400 }),
    ];
    const progress = createProgress("1");
    const lines = events.flatMap((one) => changeLines(foldProgress(progress, one), one));
    expect(lines).toEqual([
      "    0 ms  night: execution 1",
      "    0 ms  each began",
      "    0 ms  each loops over 1 items",
      "    0 ms  each[0] runs shop",
      "   40 ms  each[0] (shop) failed after 40 ms: timeout: late",
      "    0 ms  each[0] attempt 2 in 1.0 s",
      "   1.2 s  each completed after 1.2 s, 1 items",
      "   1.2 s  end began",
      "   1.3 s  end skipped",
      "   1.4 s  night completed after 1.4 s",
    ]);
  });
});
