/**
 * Looks at a target's health at an interval and tells what changes.
 *
 * 1. `probe.up`, `probe.down` and `probe.degraded` are emitted on change only; while it stays unwell, a
 *    reminder with a growing `consecutive` gives a rule whose repair failed another chance. A change
 *    says what it was before, and for how long (`was`, `was_for_ms`).
 * 2. `probe.heartbeat` says that the probe itself is alive: silence of the pipeline is not silence of
 *    the service.
 * 3. It resumes from its newest event on the log, so a restart repeats no change.
 */
import { timestamp } from "../../base/clock.ts";
import type { JsonObject } from "../../base/json.ts";
import type { NewEvent } from "../../event/envelope.ts";
import type { Source, SourceContext } from "../source.ts";
import { check, type Finding, type ProbeTarget } from "./check.ts";

export type { ProbeTarget } from "./check.ts";

export type ProbeOptions = {
  readonly name: string;
  readonly entityId: string;
  readonly target: ProbeTarget;
  readonly intervalMs: number;
  /** A check that takes longer has failed. */
  readonly timeoutMs: number;
  /** Failed checks in a row until it is down. Default 2. */
  readonly failuresToDown?: number;
  /** Good checks in a row until it is up again. Default 1. */
  readonly successesToUp?: number;
  /** While it is not up, the state is told again this often, milliseconds. Default 30,000. */
  readonly remindMs?: number;
  /** Default 60,000. */
  readonly heartbeatMs?: number;
  /** Failed share of the last `window` checks from which it is degraded, 0 to 1. */
  readonly degraded?: { readonly share: number; readonly window: number };
};

type Health = "up" | "down" | "degraded";

type State = {
  health: Health | undefined;
  sinceMs: number;
  failures: number;
  successes: number;
  /** The newest checks, true where one failed. */
  recent: boolean[];
  toldMs: number;
  beatMs: number;
};

const stateTypes = ["probe.up", "probe.down", "probe.degraded"];

type Settled = ProbeOptions & Required<Pick<ProbeOptions, keyof typeof defaults>>;

const defaults = { failuresToDown: 2, successesToUp: 1, remindMs: 30_000, heartbeatMs: 60_000 };

export function probeSource(options: ProbeOptions): Source {
  const probe: Settled = { ...defaults, ...options };
  const state: State = {
    health: undefined,
    sinceMs: 0,
    failures: 0,
    successes: 0,
    recent: [],
    toldMs: 0,
    beatMs: 0,
  };
  const controller = new AbortController();
  let looking = Promise.resolve();
  let cancelTick: (() => void) | undefined;

  const tick = (at: SourceContext): void => {
    looking = look(at)
      .catch((thrown: unknown) => {
        at.warn(`Probe ${probe.name} could not record what it found and will look again`, {
          thrown,
        });
      })
      .then(() => {
        if (controller.signal.aborted) return;
        cancelTick = at.clock.after(probe.intervalMs, () => {
          tick(at);
        });
      });
  };

  const look = async (at: SourceContext): Promise<void> => {
    const finding = await check(probe.target, probe.timeoutMs, controller.signal);
    if (controller.signal.aborted) return;
    const nowMs = at.clock.nowMs();
    const health = judge(state, finding, probe);
    const events: NewEvent[] = [];
    const changed = health !== state.health;
    const remind = health !== "up" && nowMs >= state.toldMs + probe.remindMs;
    if (changed || remind) {
      const sinceMs = changed ? nowMs : state.sinceMs;
      const before =
        changed && state.health !== undefined
          ? { was: state.health, was_for_ms: nowMs - state.sinceMs }
          : {};
      const { failures, recent } = state;
      const reason = health === "degraded" ? shareSpelt(recent, finding) : finding.reason;
      const { latencyMs } = finding;
      events.push(
        stateEvent(probe, { health, sinceMs, nowMs, latencyMs, reason, failures, before }),
      );
    }
    if (nowMs >= state.beatMs + probe.heartbeatMs) events.push(beatEvent(probe, health, nowMs));
    if (events.length === 0) return;
    await at.append(events);
    if (changed) state.sinceMs = nowMs;
    state.health = health;
    if (changed || remind) state.toldMs = nowMs;
    if (events.some((event) => event.event_type === "probe.heartbeat")) state.beatMs = nowMs;
  };

  return {
    name: probe.name,
    start: async (at) => {
      const last = await at.newest(probe.entityId, stateTypes);
      const told = last === undefined ? undefined : healthOf(last.event_type);
      if (told !== undefined && last !== undefined) {
        state.health = told;
        state.toldMs = Date.parse(last.ts);
        const { since } = last.attrs;
        state.sinceMs = typeof since === "string" ? Date.parse(since) : state.toldMs;
      }
      tick(at);
    },
    stop: async () => {
      controller.abort();
      cancelTick?.();
      await looking;
    },
  };
}

function healthOf(type: string): Health | undefined {
  const health = type.slice("probe.".length);
  return health === "up" || health === "down" || health === "degraded" ? health : undefined;
}

function judge(state: State, finding: Finding, probe: Settled): Health {
  state.failures = finding.ok ? 0 : state.failures + 1;
  state.successes = finding.ok ? state.successes + 1 : 0;
  const share = degradedShare(state, finding, probe.degraded?.window ?? 0);
  if (state.failures >= probe.failuresToDown) return "down";
  if (probe.degraded !== undefined && share >= probe.degraded.share) return "degraded";
  if (state.successes >= probe.successesToUp) return "up";
  return state.health ?? (finding.ok ? "up" : "degraded");
}

/** The failed share of the window; 0 until the window is full. */
function degradedShare(state: State, finding: Finding, window: number): number {
  if (window === 0) return 0;
  state.recent.push(!finding.ok || finding.slow);
  if (state.recent.length > window) state.recent.shift();
  if (state.recent.length < window) return 0;
  return state.recent.filter((failed) => failed).length / window;
}

/** Degraded is never one check's doing: the share is its reason. */
function shareSpelt(recent: readonly boolean[], { reason }: Finding): string {
  const failed = recent.filter((one) => one).length;
  const last = reason === undefined ? "" : `, the newest by ${reason}`;
  return `${String(failed)} of the last ${String(recent.length)} checks failed or were slow${last}`;
}

function stateEvent(
  probe: ProbeOptions,
  told: {
    readonly health: Health;
    readonly sinceMs: number;
    readonly nowMs: number;
    readonly latencyMs: number;
    readonly reason: string | undefined;
    readonly failures: number;
    /** What it changed from; empty at the first look and in a reminder. */
    readonly before: JsonObject;
  },
): NewEvent {
  const { health, sinceMs, nowMs, latencyMs, reason, failures, before } = told;
  const attrs: JsonObject = {
    since: timestamp(sinceMs),
    ...before,
    consecutive: failures,
    latency_ms: latencyMs,
    ...(reason === undefined ? {} : { reason }),
  };
  return event(probe, `probe.${health}`, { nowMs, attrs });
}

function beatEvent(probe: ProbeOptions, health: Health, nowMs: number): NewEvent {
  return event(probe, "probe.heartbeat", { nowMs, attrs: { health } });
}

function event(
  probe: ProbeOptions,
  type: string,
  { nowMs, attrs }: { readonly nowMs: number; readonly attrs: JsonObject },
): NewEvent {
  const ts = timestamp(nowMs);
  return {
    ts,
    event_type: type,
    entity_id: probe.entityId,
    idempotency_key: `${type}/${probe.name}/${ts}`,
    source: { system: "probe", ns: { component: probe.name } },
    tags: {},
    attrs,
  };
}
