/**
 * Looks at a target's health at an interval and tells what changes.
 *
 * 1. `probe.up`, `probe.down` and `probe.degraded` are emitted on change only; while it stays unwell, a
 *    reminder (`reminder: true`) with a growing `consecutive` gives a rule whose repair failed another
 *    chance. A change says what it was before, and for how long (`was`, `was_for_ms`).
 * 2. `probe.heartbeat` says that the probe itself is alive: silence of the pipeline is not silence of
 *    the service.
 * 3. It resumes from its newest event on the log, so a restart repeats no change.
 * 4. Nothing is told before it is known: a single failed check says nothing where two make it down.
 * 5. What could not be recorded is told again by the next look, with what is true then.
 */
import { timestamp } from "../../base/clock.ts";
import type { JsonObject } from "../../base/json.ts";
import type { DeedEvent, NewEvent } from "../../event/envelope.ts";
import type { Source, SourceContext } from "../source.ts";
import { check, type Finding, type ProbeTarget } from "./check.ts";
import { judge, unknown, type Health, type Tally, type Thresholds } from "./judge.ts";

export type { ProbeTarget } from "./check.ts";

export type ProbeOptions = {
  readonly name: string;
  readonly entityId: string;
  readonly target: ProbeTarget;
  /** From the end of one check to the begin of the next. */
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
  /**
   * Share of the last `window` checks that failed or were slow from which it is degraded, 0 to 1.
   * Default: none; with `slowMs`, half of the last 4.
   */
  readonly degraded?: { readonly share: number; readonly window: number };
};

const defaults = { failuresToDown: 2, successesToUp: 1, remindMs: 30_000, heartbeatMs: 60_000 };

const slowDegraded = { share: 0.5, window: 4 };

const stateTypes = ["probe.up", "probe.down", "probe.degraded", "probe.heartbeat"];

/** What was told last, and when. */
type Told = {
  health: Health | undefined;
  sinceMs: number;
  toldMs: number;
  beatMs: number;
};

export function probeSource(options: ProbeOptions): Source {
  const probe = { ...defaults, ...options };
  const slow = probe.target.kind === "http" && probe.target.slowMs !== undefined;
  const thresholds: Thresholds = {
    failuresToDown: probe.failuresToDown,
    successesToUp: probe.successesToUp,
    degraded: options.degraded ?? (slow ? slowDegraded : undefined),
  };
  const told: Told = { health: undefined, sinceMs: 0, toldMs: -Infinity, beatMs: -Infinity };
  let tally: Tally = unknown;
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
    tally = judge(tally, finding, thresholds);
    const { health } = tally;
    const nowMs = at.clock.nowMs();
    const changed = health !== told.health;
    const reminded = health !== "up" && nowMs >= told.toldMs + probe.remindMs;
    const beats = nowMs >= told.beatMs + probe.heartbeatMs;
    const sinceMs = changed ? nowMs : told.sinceMs;
    const events: NewEvent[] = [];
    if (health !== undefined && (changed || reminded)) {
      const attrs = stateAttrs(tally, finding, sinceMs);
      const more = changed ? before(told, nowMs) : { reminder: true };
      events.push(eventOf(probe, `probe.${health}`, { nowMs, attrs: { ...attrs, ...more } }));
    }
    if (beats) {
      const since = health === undefined ? {} : { since: timestamp(sinceMs) };
      const attrs = { health: health ?? "unknown", ...since, consecutive: tally.failures };
      events.push(eventOf(probe, "probe.heartbeat", { nowMs, attrs }));
    }
    if (events.length === 0) return;
    await at.append(events);
    if (changed || reminded) told.toldMs = nowMs;
    if (beats) told.beatMs = nowMs;
    told.sinceMs = sinceMs;
    told.health = health;
  };

  /** Takes up where the last run of the program left off. */
  const resume = (last: DeedEvent): void => {
    const { since, consecutive } = last.attrs;
    const health = healthOf(last);
    if (health === undefined) return;
    const failures = typeof consecutive === "number" ? consecutive : 0;
    tally = { ...unknown, health, failures };
    told.health = health;
    told.toldMs = Date.parse(last.ts);
    told.sinceMs = typeof since === "string" ? Date.parse(since) : told.toldMs;
  };

  return {
    name: probe.name,
    start: async (at) => {
      const last = await at.newest(probe.entityId, stateTypes);
      if (last !== undefined) resume(last);
      tick(at);
    },
    stop: async () => {
      controller.abort();
      cancelTick?.();
      await looking;
    },
  };
}

function healthOf({ event_type: type, attrs }: DeedEvent): Health | undefined {
  const health = type === "probe.heartbeat" ? attrs["health"] : type.slice("probe.".length);
  return health === "up" || health === "down" || health === "degraded" ? health : undefined;
}

function stateAttrs(tally: Tally, finding: Finding, sinceMs: number): JsonObject {
  return {
    since: timestamp(sinceMs),
    consecutive: tally.failures,
    latency_ms: finding.latencyMs,
    reason: tally.health === "degraded" ? shareSpelt(tally, finding) : finding.reason,
  };
}

/** Degraded is never one check's doing: the share is its reason. */
function shareSpelt({ recent }: Tally, { ok, slow, reason }: Finding): string {
  const unwell = recent.filter((one) => one).length;
  const newest = ok && !slow ? "" : `, the newest by ${reason}`;
  return `${String(unwell)} of the last ${String(recent.length)} checks failed or were slow${newest}`;
}

function before(told: Told, nowMs: number): JsonObject {
  return told.health === undefined
    ? {}
    : { was: told.health, was_for_ms: Math.max(0, nowMs - told.sinceMs) };
}

function eventOf(
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
