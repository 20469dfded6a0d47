import type { Static } from "typebox";
import type { ProbeTarget } from "../../source/probe/probe.ts";
import type { probeSourceSchema } from "../config-schema.ts";
import type { ConfigFile, SourceConfig } from "./shape.ts";
import { durationMs, type Reading } from "./reading.ts";

type Written = NonNullable<ConfigFile["sources"]>[number];

type Probe = Static<typeof probeSourceSchema>;

/** Faster than this a source does not look, milliseconds. */
const intervalMsMin = 10;

/** The sources, each with a name of its own. */
export function sourcesOf(reading: Reading): readonly SourceConfig[] {
  const sources = reading.config.sources ?? [];
  const names = sources.map((source) => source.name);
  names.forEach((name, index) => {
    if (names.indexOf(name) === index) return;
    const message = `a second source "${name}": give each its own name`;
    reading.problem(["sources", index, "name"], message);
  });
  return sources.flatMap((source, index) => sourceOf(reading, source, index));
}

function sourceOf(reading: Reading, source: Written, index: number): readonly SourceConfig[] {
  const ms = (name: string, written: string | undefined): number | undefined =>
    durationMs(reading, { path: ["sources", index, name], written }, intervalMsMin);
  if (source.kind === "file") {
    const { kind, name, path, mapping, interval } = source;
    const intervalMs = ms("interval", interval);
    return [{ kind, name, path: reading.at(path), intervalMs, mapping: mappingOf(mapping) }];
  }
  const targets = targetsOf(reading, source, index);
  const [target] = targets;
  if (target === undefined || targets.length > 1) {
    reading.problem(["sources", index], "a probe has exactly one target: http, tcp or process");
    return [];
  }
  return [
    {
      kind: "probe",
      name: source.name,
      entityId: source.entity,
      target,
      intervalMs: ms("interval", source.interval) ?? 5_000,
      timeoutMs: ms("timeout", source.timeout) ?? 2_000,
      failuresToDown: source.failures_to_down,
      successesToUp: source.successes_to_up,
      remindMs: ms("remind", source.remind),
      heartbeatMs: ms("heartbeat", source.heartbeat),
      degraded: source.degraded,
    },
  ];
}

type FileSource = Extract<SourceConfig, { kind: "file" }>;

/** Leaves out what is undefined, as the mapping's own type does. */
function mappingOf(mapping: Extract<Written, { kind: "file" }>["mapping"]): FileSource["mapping"] {
  if (mapping === undefined) return undefined;
  const { correlation_id: correlation, tags, ...rest } = mapping;
  return {
    ...rest,
    ...(correlation === undefined ? {} : { correlation_id: correlation }),
    ...(tags === undefined ? {} : { tags }),
  };
}

function targetsOf(reading: Reading, probe: Probe, index: number): readonly ProbeTarget[] {
  const { http, tcp, process: own } = probe;
  const targets: ProbeTarget[] = [];
  if (http !== undefined) {
    const { url, expect_status: expectStatus, slow } = http;
    if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol))
      reading.problem(["sources", index, "http", "url"], `"${url}" is no http:// or https:// URL`);
    const slowMs = durationMs(reading, {
      path: ["sources", index, "http", "slow"],
      written: slow,
    });
    targets.push({
      kind: "http",
      url,
      ...(expectStatus === undefined ? {} : { expectStatus }),
      ...(slowMs === undefined ? {} : { slowMs }),
    });
  }
  if (tcp !== undefined) {
    const { host, port, send } = tcp;
    targets.push({ kind: "tcp", host, port, ...(send === undefined ? {} : { send }) });
  }
  if (own !== undefined) targets.push({ kind: "process", pidFile: reading.at(own.pid_file) });
  return targets;
}
