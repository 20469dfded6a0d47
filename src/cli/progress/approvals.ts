/** Approvals that wait, answered by whoever watches. */
import type { Io } from "../io.ts";
import { printable } from "../terminal.ts";
import type { Display } from "./display.ts";
import type { Command, Progress } from "./model.ts";

export type Approvals = {
  /** Looks whether one waits: after each event. */
  readonly look: () => void;
  readonly stop: () => void;
};

export type ApprovalsOptions = {
  readonly io: Io;
  readonly display: Display;
  /** Approves whatever asks. */
  readonly yes: boolean;
  /** Whether keys are read: only where the question is seen. */
  readonly asks: boolean;
  readonly answer: (action: string, approved: boolean) => void;
};

export function createApprovals(options: ApprovalsOptions): Approvals {
  const { io, display, yes, asks, answer } = options;
  const answered = new Set<string>();
  let unlisten: (() => void) | undefined;
  let current: string | undefined;
  const stop = (): void => {
    unlisten?.();
    unlisten = undefined;
    display.ask(undefined);
  };
  const settle = (action: string, approved: boolean): void => {
    answered.add(action);
    answer(action, approved);
    look();
  };
  const onKey = (key: string): void => {
    if (current === undefined || !/^[yn]$/i.test(key)) return;
    settle(current, key.toLowerCase() === "y");
  };
  const look = (): void => {
    const next = waitingApprovals(display.progress).find(({ actionId }) => !answered.has(actionId));
    if (next?.actionId === current) return;
    current = next?.actionId;
    if (next === undefined) stop();
    else if (yes) settle(next.actionId, true);
    else if (asks && io.onKey !== undefined) {
      unlisten ??= io.onKey(onKey);
      display.ask(`approve ${named(next)}? press y or n`);
    } else display.ask(`nobody can answer ${named(next)} here: use a terminal, --yes, or a node`);
  };
  return { look, stop };
}

type Approval = Command & { readonly actionId: string };

function waitingApprovals({ executions }: Progress): readonly Approval[] {
  return [...executions.values()]
    .flatMap(({ activations }) => activations)
    .flatMap(({ commands }) => [...commands.values()])
    .filter((command): command is Approval => command.actionId !== undefined)
    .filter(({ kind, state }) => kind === "approval" && state === "waits");
}

function named({ task, about }: Approval): string {
  return about === "" ? printable(task) : `"${printable(about)}"`;
}
