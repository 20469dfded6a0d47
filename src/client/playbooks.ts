/** What the client knows of playbooks: the catalog, executions, approvals. */
import type { Json, JsonObject } from "../base/json.ts";
import type { ActionView, RecordView } from "./client/shown.ts";
import { asking, search, type RequestOptions, type Send } from "./client/sending.ts";

/** A path of the catalog: the version that runs, and in a detail all versions, newest first. */
export type PlaybookView = JsonObject & {
  readonly path: string;
  readonly digest: string;
};

/** What registering said. `registered: false`: that text is the newest there already. */
export type Registered = {
  readonly path: string;
  readonly digest: string;
  readonly registered: boolean;
  /** `{code, severity, file, line, column, message, help}` each. */
  readonly findings: readonly JsonObject[];
};

/** An execution as the API shows it. */
export type ExecutionView = JsonObject & {
  readonly execution_id: string;
  readonly status: string;
  readonly playbook: string;
};

export type RunBody = {
  /** Path in the catalog. */
  readonly playbook: string;
  /** The version; the one that stands at the path where it is left out. */
  readonly digest?: string;
  /** Laid over the playbook's workload. */
  readonly input?: JsonObject;
  readonly return_step?: string;
  readonly correlation_id?: string;
  readonly tenant?: string;
  readonly tags?: JsonObject;
};

export type RerunBody = {
  /** Laid over the former's input. */
  readonly input?: JsonObject;
  readonly from_step?: string;
  /** The former's version where it is left out. */
  readonly digest?: string;
  readonly correlation_id?: string;
};

export type Answer = {
  readonly approved: boolean;
  readonly by?: string;
  readonly reason?: string;
};

type Page<Name extends string, Row> = JsonObject & { readonly next_cursor?: string } & {
  readonly [name in Name]: readonly Row[];
};

export type PlaybookCalls = {
  /** Registers a text as the newest version at its path. Findings that refuse it are the error's `problems`. */
  readonly registerPlaybook: (body: {
    readonly text: string;
    readonly file?: string;
    readonly path?: string;
  }) => Promise<Registered>;
  readonly playbooks: (query?: JsonObject) => Promise<Page<"playbooks", PlaybookView>>;
  readonly playbook: (path: string) => Promise<PlaybookView>;
  /** One version, with its `text`. */
  readonly playbookVersion: (
    path: string,
    digest: string,
  ) => Promise<JsonObject & { readonly text: string }>;
  readonly pinPlaybook: (path: string, digest: string) => Promise<PlaybookView>;
  readonly unpinPlaybook: (path: string) => Promise<PlaybookView>;
  readonly runPlaybook: (body: RunBody, options?: RequestOptions) => Promise<ExecutionView>;
  /** With its `open_actions` and `children`, and once it has ended its `result` or `error`. */
  readonly execution: (id: string) => Promise<ExecutionView>;
  /** `query`: `{status, playbook, parent, roots, correlation_id, tenant, limit, cursor}`. */
  readonly executions: (query?: JsonObject) => Promise<Page<"executions", ExecutionView>>;
  /** A page of its thread. `query`: `{limit, cursor, order}`. */
  readonly executionEvents: (
    id: string,
    query?: JsonObject,
  ) => Promise<Page<"records", RecordView & Json>>;
  readonly cancelExecution: (id: string, body?: JsonObject) => Promise<ExecutionView>;
  readonly pauseExecution: (id: string, body?: JsonObject) => Promise<ExecutionView>;
  readonly resumeExecution: (id: string, body?: JsonObject) => Promise<ExecutionView>;
  readonly rerunExecution: (
    id: string,
    body?: RerunBody,
    options?: RequestOptions,
  ) => Promise<ExecutionView>;
  /** What waits for a person: actions with `message` and `execution_id`. */
  readonly approvals: (query?: JsonObject) => Promise<Page<"approvals", ActionView>>;
  readonly answerApproval: (actionId: string, answer: Answer) => Promise<ActionView>;
};

export function playbookCalls(send: Send): PlaybookCalls {
  const at = (path: string): string => `/v1/playbooks/${encodeURIComponent(path)}`;
  const of = (id: string, rest = ""): string => `/v1/executions/${encodeURIComponent(id)}${rest}`;
  const ask = async (id: string, word: string, body: JsonObject = {}): Promise<ExecutionView> =>
    (await send("POST", of(id, `/${word}`), { body })) as ExecutionView;
  return {
    registerPlaybook: async (body) =>
      (await send("POST", "/v1/playbooks", { body })) as unknown as Registered,
    playbooks: async (query = {}) =>
      (await send("GET", `/v1/playbooks${search(query)}`)) as Page<"playbooks", PlaybookView>,
    playbook: async (path) => (await send("GET", at(path))) as PlaybookView,
    playbookVersion: async (path, digest) =>
      (await send("GET", `${at(path)}${search({ digest })}`)) as JsonObject & { text: string },
    pinPlaybook: async (path, digest) =>
      (await send("PUT", `${at(path)}/pin`, { body: { digest } })) as PlaybookView,
    unpinPlaybook: async (path) => (await send("DELETE", `${at(path)}/pin`)) as PlaybookView,
    runPlaybook: async (body, options) =>
      (await send("POST", "/v1/executions", { body, ...asking(options) })) as ExecutionView,
    execution: async (id) => (await send("GET", of(id))) as ExecutionView,
    executions: async (query = {}) =>
      (await send("GET", `/v1/executions${search(query)}`)) as Page<"executions", ExecutionView>,
    executionEvents: async (id, query = {}) =>
      (await send("GET", of(id, `/events${search(query)}`))) as Page<"records", RecordView & Json>,
    cancelExecution: (id, body) => ask(id, "cancel", body),
    pauseExecution: (id, body) => ask(id, "pause", body),
    resumeExecution: (id, body) => ask(id, "resume", body),
    rerunExecution: async (id, body = {}, options) =>
      (await send("POST", of(id, "/rerun"), { body, ...asking(options) })) as ExecutionView,
    approvals: async (query = {}) =>
      (await send("GET", `/v1/approvals${search(query)}`)) as Page<"approvals", ActionView>,
    answerApproval: async (actionId, answer) =>
      (await send("POST", `/v1/approvals/${encodeURIComponent(actionId)}`, {
        body: answer,
      })) as ActionView,
  };
}
