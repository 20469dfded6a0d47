/** What the executors that start programs have in common: process groups, environment, output. */

/** Between SIGTERM and SIGKILL, milliseconds. */
const killAfterMsDefault = 3_000;

/** How long output is awaited from a pipe that somebody outside the group still holds, milliseconds. */
export const drainMs = 250;

/** Signals the whole group that `pid` leads, children of children included. */
export function killGroup(pid: number | undefined, signal: NodeJS.Signals): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, signal);
  } catch {
    // A group that is gone is what was wanted; one that the system keeps from us is beyond our reach.
  }
}

/**
 * Ends the child's group once the signal is aborted: SIGTERM, and after `killAfterMs` (default 3,000) SIGKILL.
 *
 * @returns stops watching and waiting; to be called when the child has ended.
 */
export function killOnAbort(
  child: { readonly pid?: number | undefined },
  signal: AbortSignal,
  killAfterMs = killAfterMsDefault,
): () => void {
  let timer: NodeJS.Timeout | undefined;
  const end = (): void => {
    killGroup(child.pid, "SIGTERM");
    timer = setTimeout(() => {
      killGroup(child.pid, "SIGKILL");
    }, killAfterMs);
  };
  if (signal.aborted) end();
  else signal.addEventListener("abort", end, { once: true });
  return () => {
    clearTimeout(timer);
    signal.removeEventListener("abort", end);
  };
}

/** Of the node's environment: PATH, HOME, LANG and what is named. The rest may hold secrets. */
export function passedEnvironment(names: readonly string[]): NodeJS.ProcessEnv {
  const env: NodeJS.ProcessEnv = {};
  for (const name of ["PATH", "HOME", "LANG", ...names]) {
    const value = process.env[name];
    if (value !== undefined) env[name] = value;
  }
  return env;
}

export type Tail = {
  readonly push: (chunk: Buffer) => void;
  readonly text: () => string;
  /** True where there was more than was kept. */
  readonly cut: () => boolean;
};

/** Keeps the end of what is written, decoded once it is whole. */
export function createTail(bytesMax: number): Tail {
  let kept: Buffer[] = [];
  let size = 0;
  let cut = false;
  return {
    push: (chunk) => {
      kept.push(chunk);
      size += chunk.length;
      if (size <= 2 * bytesMax) return;
      kept = [Buffer.concat(kept).subarray(-bytesMax)];
      size = bytesMax;
      cut = true;
    },
    text: () => Buffer.concat(kept).subarray(-bytesMax).toString("utf8"),
    cut: () => cut || size > bytesMax,
  };
}
