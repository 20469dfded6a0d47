/** The configuration: as people write it, and as the program uses it. */
import type { Static } from "typebox";
import type { Topic } from "../../event/topic.ts";
import type { CredentialEntry } from "../../executor/credential/credentials.ts";
import type { LineMapping } from "../../source/file/file.ts";
import type { ProbeTarget } from "../../source/probe/probe.ts";
import type { configSchema } from "../config-schema.ts";

export type ConfigFile = Static<typeof configSchema>;

export type SourceConfig =
  | {
      readonly kind: "file";
      readonly name: string;
      readonly path: string;
      readonly intervalMs: number | undefined;
      readonly mapping: LineMapping | undefined;
    }
  | {
      readonly kind: "probe";
      readonly name: string;
      readonly entityId: string;
      readonly target: ProbeTarget;
      readonly intervalMs: number;
      readonly timeoutMs: number;
      readonly failuresToDown: number | undefined;
      readonly successesToUp: number | undefined;
      readonly remindMs: number | undefined;
      readonly heartbeatMs: number | undefined;
      readonly degraded: { readonly share: number; readonly window: number } | undefined;
    };

/** The configuration as the program uses it: paths absolute, durations in milliseconds. */
export type Config = {
  readonly file: string;
  /** What a person should know: it keeps nothing from running. */
  readonly warnings: readonly string[];
  readonly data: string;
  readonly host: string;
  readonly port: number;
  readonly tokens: readonly { readonly token: string; readonly tenant: string }[];
  readonly bodyBytesMax: number | undefined;
  readonly logPath: string;
  readonly dedupWindowMs: number | undefined;
  readonly eventBytesMax: number | undefined;
  readonly retention: { readonly [T in Topic]?: number };
  readonly leaseMs: number;
  readonly graceMs: number;
  readonly http: {
    readonly allowHosts: readonly string[] | undefined;
    readonly remap: { readonly [from: string]: string };
    readonly concurrency: number | undefined;
    readonly timeoutMs: number | undefined;
    readonly responseBytesMax: number | undefined;
  };
  readonly scripts: { readonly root: string | undefined; readonly strip: readonly string[] };
  readonly shell: {
    readonly allow: readonly (readonly string[])[];
    readonly lines: boolean;
    readonly cwdRoot: string;
    readonly envPass: readonly string[];
    readonly concurrency: number | undefined;
    readonly timeoutMs: number | undefined;
  };
  readonly python: {
    readonly enabled: boolean;
    readonly interpreter: string | undefined;
    readonly cwd: string;
    readonly envPass: readonly string[];
    readonly concurrency: number | undefined;
    readonly timeoutMs: number | undefined;
  };
  /** By alias. What they hold is read when it is used. */
  readonly credentials: ReadonlyMap<string, CredentialEntry>;
  readonly postgres: {
    readonly enabled: boolean;
    /** Where a query without `auth` goes. */
    readonly dsn: string | undefined;
    readonly concurrency: number | undefined;
    readonly timeoutMs: number | undefined;
    readonly resultBytesMax: number | undefined;
  };
  readonly duckdb: {
    readonly enabled: boolean;
    readonly root: string;
    readonly externalAccess: boolean;
    readonly memoryLimit: string | undefined;
    readonly threads: number | undefined;
    readonly concurrency: number | undefined;
    readonly timeoutMs: number | undefined;
    readonly resultBytesMax: number | undefined;
  };
  readonly rules: readonly string[];
  readonly schedules: readonly string[];
  readonly playbooks: {
    /** Files, or folders that are looked through. */
    readonly paths: readonly string[];
    /** Names of the environment that playbooks may see. */
    readonly env: readonly string[];
  };
  readonly sources: readonly SourceConfig[];
};

export type Environment = { readonly [name: string]: string | undefined };
