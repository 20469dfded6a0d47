/** What an API is made of, and what its routes are given. */
import type { FastifyRequest } from "fastify";
import type { TSchema } from "typebox";
import type { Restart } from "../action/execution-request.ts";
import type { Clock } from "../base/clock.ts";
import type { JsonObject } from "../base/json.ts";
import type { NewEvent } from "../event/envelope.ts";
import type { ExecutionRow, Log } from "../log/log.ts";
import type { Outcomes } from "../log/outcomes.ts";

/** A command that an executor of this node serves. */
export type CommandInfo = {
  readonly command: string;
  readonly description: string;
  readonly argsSchema: TSchema;
};

/** An active rule or schedule, as the log says. */
export type RuleInfo = {
  readonly name: string;
  readonly version: string;
  readonly mode: string;
  readonly file: string;
  readonly offset: number;
};

/** A version of a playbook: its text, named by the SHA-256 of it. */
export type PlaybookVersionInfo = {
  readonly digest: string;
  /** Where it was registered last. */
  readonly offset: number;
  readonly registeredAtMs: number;
  readonly file?: string;
};

/** A path of the catalog. */
export type PlaybookInfo = {
  readonly path: string;
  /** >= 1; the one that was registered last comes last. */
  readonly versions: readonly PlaybookVersionInfo[];
  /** The digest that the path is held at. */
  readonly pinned?: string;
};

/** What an author is told of a playbook. Lines and columns count from 1. */
export type PlaybookFinding = {
  readonly code: string;
  readonly severity: "error" | "warning";
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly message: string;
  readonly help: string;
};

/** The catalog, and what only the core knows of a playbook. */
export type Playbooks = {
  /** By path. */
  readonly entries: () => readonly PlaybookInfo[];
  readonly text: (digest: string) => string | undefined;
  /**
   * Reads a text as a playbook.
   *
   * @returns `path`: where the text itself says that it belongs; none where it cannot be run.
   */
  readonly check: (
    text: string,
    file: string,
  ) => { readonly path?: string; readonly findings: readonly PlaybookFinding[] };
  /** The names of a version's steps. */
  readonly steps: (digest: string) => readonly string[];
  readonly registered: (
    version: {
      readonly path: string;
      readonly digest: string;
      readonly text: string;
      readonly file?: string;
    },
    at: { readonly ts: string; readonly replaces: string | undefined },
  ) => NewEvent;
  /** Without a digest: lets the path go. */
  readonly pinned: (path: string, digest: string | undefined, ts: string) => NewEvent;
  /** The environment that playbooks may see, as it is now. */
  readonly env: () => JsonObject;
  /**
   * What an execution knew when it came to a step for the last time.
   *
   * @param at `digest`: the version that is to go on from there.
   * @throws {Fault} `conflict` where it never came there, or its history cannot be read.
   */
  readonly restart: (
    former: ExecutionRow,
    at: { readonly step: string; readonly digest: string; readonly returnStep: string | undefined },
  ) => Promise<Restart>;
};

export type ApiOptions = {
  readonly log: Log;
  readonly outcomes: Outcomes;
  readonly clock: Clock;
  readonly commands: () => readonly CommandInfo[];
  readonly rules: () => readonly RuleInfo[];
  /** As rules: which are active, in which version, from where. */
  readonly schedules: () => readonly RuleInfo[];
  readonly playbooks: Playbooks;
  readonly metrics: { readonly contentType: string; readonly render: () => Promise<string> };
  /** Undefined where requests can be served; else why not. */
  readonly notReady: () => string | undefined;
  /** Bearer tokens and the tenant of each. Without one it listens on loopback only. */
  readonly tokens?: readonly { readonly token: string; readonly tenant: string }[];
  readonly bodyBytesMax?: number;
  readonly onError?: (
    thrown: unknown,
    request: { readonly method: string; readonly url: string },
  ) => void;
};

/** What routes are given. */
export type Context = ApiOptions & {
  /** The tenant of the request: its token's, else the one it names, else `default`. */
  readonly tenant: (request: FastifyRequest, named?: string) => string;
  /** Limits reading to the tenant of the token; undefined: all tenants of a loopback API. */
  readonly tenantFilter: (request: FastifyRequest, named?: string) => string | undefined;
};
