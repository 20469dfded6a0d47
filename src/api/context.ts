/** What an API is made of, and what its routes are given. */
import type { FastifyRequest } from "fastify";
import type { TSchema } from "typebox";
import type { Clock } from "../base/clock.ts";
import type { Log } from "../log/log.ts";
import type { Outcomes } from "../log/outcomes.ts";

/** A command that an executor of this node serves. */
export type CommandInfo = {
  readonly command: string;
  readonly description: string;
  readonly argsSchema: TSchema;
};

/** An active rule, as the log says. */
export type RuleInfo = {
  readonly name: string;
  readonly version: string;
  readonly mode: string;
  readonly file: string;
  readonly offset: number;
};

export type ApiOptions = {
  readonly log: Log;
  readonly outcomes: Outcomes;
  readonly clock: Clock;
  readonly commands: () => readonly CommandInfo[];
  readonly rules: () => readonly RuleInfo[];
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
