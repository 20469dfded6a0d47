import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from "prom-client";
import { anomalyTag, type LogRecord } from "../event/envelope.ts";
import type { Json } from "../base/json.ts";
import type { ActionId } from "../event/ids.ts";
import type { KernelStats } from "../kernel/kernel.ts";
import type { Log } from "../log/log.ts";

export type Metrics = {
  readonly contentType: string;
  readonly render: () => Promise<string>;
  readonly stop: () => void;
};

const seconds = [0.001, 0.005, 0.025, 0.1, 0.5, 1, 5, 30, 120, 600, 3_600];

const outcomes: { readonly [type: string]: string | undefined } = {
  "action.succeeded": "succeeded",
  "action.failed": "failed",
  "action.cancelled": "cancelled",
};

const executionOutcomes: { readonly [type: string]: string | undefined } = {
  "execution.completed": "completed",
  "execution.failed": "failed",
  "execution.cancelled": "cancelled",
};

/** Actions whose times are remembered while they are open; older ones fall out of the histograms. */
const openMax = 50_000;

/** Prometheus metrics, counted from what is committed: what is not on the log did not happen. */
export function createMetrics(log: Log, stats: () => KernelStats): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const register = [registry];
  const events = new Counter({
    name: "deed_events_total",
    help: "Events committed",
    labelNames: ["topic"],
    registers: register,
  });
  const ended = new Counter({
    name: "deed_actions_ended_total",
    help: "Actions that ended",
    labelNames: ["command", "outcome"],
    registers: register,
  });
  const deferred = new Counter({
    name: "deed_actions_deferred_total",
    help: "Deferrals",
    labelNames: ["reason"],
    registers: register,
  });
  const retries = new Counter({
    name: "deed_retries_total",
    help: "Attempts that were retried",
    labelNames: ["command"],
    registers: register,
  });
  const dead = new Counter({
    name: "deed_dead_letters_total",
    help: "Dead letters",
    labelNames: ["reason"],
    registers: register,
  });
  const rules = new Counter({
    name: "deed_rules_total",
    help: "What rules did",
    labelNames: ["rule", "did"],
    registers: register,
  });
  const accept = new Histogram({
    name: "deed_time_to_accept_seconds",
    help: "Request to accepted",
    buckets: seconds,
    registers: register,
  });
  const resolve = new Histogram({
    name: "deed_time_to_resolve_seconds",
    help: "Request to terminal",
    buckets: seconds,
    registers: register,
  });
  const executions = countExecutions(register, log);
  gauges(register, log, stats);

  const requestedMs = new Map<ActionId, number>();
  const count = ({ topic, event }: LogRecord): void => {
    events.inc({ topic });
    const { event_type: type, action_id: action, attrs, tags } = event;
    if (tags[anomalyTag] !== undefined) return;
    if (type.startsWith("rule."))
      rules.inc({ rule: label(attrs["rule"] ?? attrs["name"]), did: type.slice("rule.".length) });
    if (type.startsWith("execution.")) executions(type);
    if (action === undefined) return;
    const command = label(tags["action"]);
    if (type === "action.requested") {
      if (requestedMs.size < openMax) requestedMs.set(action, Date.parse(event.ts));
    } else if (type === "action.deferred") deferred.inc({ reason: label(attrs["reason"]) });
    else if (type === "action.retrying") retries.inc({ command });
    else if (type === "action.dead_lettered") dead.inc({ reason: label(attrs["reason"]) });
    const startedMs = requestedMs.get(action);
    const takenSec =
      startedMs === undefined ? undefined : Math.max(0, Date.parse(event.ts) - startedMs) / 1_000;
    if (type === "action.accepted" && takenSec !== undefined) accept.observe(takenSec);
    const outcome = outcomes[type];
    if (outcome === undefined) return;
    ended.inc({ command, outcome });
    if (takenSec !== undefined) resolve.observe(takenSec);
    requestedMs.delete(action);
  };
  const stop = log.onCommit((records) => {
    for (const record of records) count(record);
  });
  return { contentType: registry.contentType, render: () => registry.metrics(), stop };
}

/** @returns what takes the type of each event of an execution that counted. */
function countExecutions(registers: Registry[], log: Log): (type: string) => void {
  const requested = new Counter({
    name: "deed_executions_requested_total",
    help: "Executions of playbooks that were asked for",
    registers,
  });
  const started = new Counter({
    name: "deed_executions_started_total",
    help: "Executions that began",
    registers,
  });
  const ended = new Counter({
    name: "deed_executions_ended_total",
    help: "Executions that ended",
    labelNames: ["outcome"],
    registers,
  });
  const open = new Gauge({
    name: "deed_executions_open",
    help: "Executions that have not ended",
    registers,
  });
  open.set(log.openExecutions().length);
  return (type) => {
    if (type === "execution.requested") {
      requested.inc();
      open.inc();
    } else if (type === "execution.started") started.inc();
    const outcome = executionOutcomes[type];
    if (outcome === undefined) return;
    ended.inc({ outcome });
    open.dec();
  };
}

function label(value: Json | undefined): string {
  return typeof value === "string" ? value : "unknown";
}

function gauges(registers: Registry[], log: Log, stats: () => KernelStats): void {
  const gauge = (name: string, help: string, read: () => number): void => {
    const made: Gauge = new Gauge({
      name,
      help,
      registers,
      collect: () => {
        made.set(read());
      },
    });
  };
  gauge("deed_log_head_offset", "Newest committed offset", log.head);
  gauge("deed_actions_open", "Actions that have not ended", () => stats().openActions);
  gauge("deed_actions_running", "Attempts that hold a lease", () => stats().running);
  gauge("deed_actions_queued", "Open actions that hold no lease", () => stats().queued);
  gauge("deed_timers", "Armed timers", () => stats().timers);
  gauge("deed_rules_active", "Active rules", () => stats().rules.length);
}
