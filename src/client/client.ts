/**
 * The client of the API: what the command line uses, and what other programs import.
 *
 * Invariants
 * 1. Every error is a `ClientError` with the problem's words, or with what to do where no answer came.
 * 2. A stream that breaks is taken up again behind the last place that the node told: no record is left
 *    out, none comes twice. It ends by its signal, or by a refusal that asking again would not change.
 * 3. No call waits for ever: an answer takes `timeoutMs` at most, a quiet stream tells its heartbeat.
 */
import { request, type Dispatcher } from "undici";
import { isJsonObject, type Json, type JsonObject } from "../base/json.ts";
import { isErrorKind, type ErrorKind } from "../event/error.ts";
import { asking, search, type RequestOptions, type Send } from "./client/sending.ts";
import type { ActionView, RecordView } from "./client/shown.ts";
import { playbookCalls, type PlaybookCalls } from "./playbooks.ts";

export type { ActionView, RecordView } from "./client/shown.ts";

export type ClientOptions = {
  /** e.g. `http://127.0.0.1:7333`. */
  readonly url: string;
  readonly token?: string;
  /** What an answer may take, on top of a wait that was asked for, milliseconds. Default 30 s. */
  readonly timeoutMs?: number;
};

export type StreamFilter = {
  readonly [
    name in
      "topic" | "type" | "entity_id" | "action_id" | "execution_id" | "correlation_id" | "tenant"
  ]?: string;
};

/** Why a call failed. */
export type Refusal = {
  /** The HTTP status; 0 where no answer came. */
  readonly status: number;
  readonly kind: ErrorKind;
  readonly message: string;
  /** Each member that was wrong: `{pointer, message}`. */
  readonly problems?: readonly Json[];
};

export class ClientError extends Error {
  override readonly name = "ClientError";
  readonly status: number;
  readonly kind: ErrorKind;
  readonly problems: readonly Json[];

  constructor({ status, kind, message, problems = [] }: Refusal) {
    super(message);
    this.status = status;
    this.kind = kind;
    this.problems = problems;
  }
}

export type Client = PlaybookCalls & {
  /** Asks for an action: `body` is `{command, args, entity_id, ttl_sec, …}` as `POST /v1/actions` takes it. */
  readonly request: (body: JsonObject, options?: RequestOptions) => Promise<ActionView>;
  readonly action: (id: string) => Promise<ActionView>;
  readonly actionEvents: (id: string) => Promise<readonly RecordView[]>;
  readonly actions: (
    query?: JsonObject,
  ) => Promise<JsonObject & { readonly actions: readonly ActionView[] }>;
  readonly cancel: (id: string, body?: JsonObject) => Promise<ActionView>;
  readonly publish: (events: readonly JsonObject[]) => Promise<JsonObject>;
  readonly event: (id: string) => Promise<RecordView>;
  /** Every record that passes the filter, from `from` on, or from now. */
  readonly stream: (
    filter: StreamFilter,
    options: { readonly from?: number; readonly signal: AbortSignal },
  ) => AsyncIterable<RecordView>;
  readonly deadLetters: (
    query?: JsonObject,
  ) => Promise<JsonObject & { readonly dead_letters: readonly ActionView[] }>;
  readonly redrive: (id: string, body?: JsonObject) => Promise<ActionView>;
  readonly discard: (id: string, body: JsonObject) => Promise<ActionView>;
  readonly get: (path: string) => Promise<JsonObject>;
};

const timeoutMsDefault = 30_000;

/** How long a broken stream waits before it is taken up again, milliseconds. */
const resumeMs = 500;

/** A stream that is silent for longer than several heartbeats is broken, milliseconds. */
const silentMsMax = 60_000;

export function createClient(options: ClientOptions): Client {
  const base = options.url.replace(/\/$/, "");
  const authorization: Record<string, string> =
    options.token === undefined ? {} : { authorization: `Bearer ${options.token}` };

  const send: Send = async (method, path, sent = {}) => {
    const timeoutMs = (options.timeoutMs ?? timeoutMsDefault) + (sent.waitMs ?? 0);
    const response = await reach(base, path, {
      method,
      headers: {
        accept: "application/json",
        ...authorization,
        ...(sent.body === undefined ? {} : { "content-type": "application/json" }),
        ...sent.headers,
      },
      body: sent.body === undefined ? null : JSON.stringify(sent.body),
      signal: AbortSignal.timeout(timeoutMs),
      headersTimeout: 0,
      bodyTimeout: 0,
    });
    const value = parse(await textOf(base, response));
    if (response.statusCode >= 400) throw problem(response.statusCode, value);
    if (isJsonObject(value)) return value;
    throw new ClientError({
      status: response.statusCode,
      kind: "executor_error",
      message: `Cannot read the answer of ${base} to ${method} ${path} as it is no JSON object: is it a node of deed?`,
    });
  };

  return {
    ...playbookCalls(send),
    request: async (body, options) =>
      (await send("POST", "/v1/actions", { body, ...asking(options) })) as ActionView,
    action: async (id) =>
      (await send("GET", `/v1/actions/${encodeURIComponent(id)}`)) as ActionView,
    actionEvents: async (id) => {
      const { records } = await send("GET", `/v1/actions/${encodeURIComponent(id)}/events`);
      return records as unknown as readonly RecordView[];
    },
    actions: async (query = {}) =>
      (await send("GET", `/v1/actions${search(query)}`)) as JsonObject & { actions: ActionView[] },
    cancel: async (id, body = {}) =>
      (await send("POST", `/v1/actions/${encodeURIComponent(id)}/cancel`, { body })) as ActionView,
    publish: (events) => send("POST", "/v1/events", { body: { events } }),
    event: async (id) =>
      (await send("GET", `/v1/events/${encodeURIComponent(id)}`)) as unknown as RecordView,
    stream: (filter, { from, signal }) => follow({ base, authorization, filter, from, signal }),
    deadLetters: async (query = {}) =>
      (await send("GET", `/v1/dlq${search(query)}`)) as JsonObject & { dead_letters: ActionView[] },
    redrive: async (id, body = {}) =>
      (await send("POST", `/v1/dlq/${encodeURIComponent(id)}/redrive`, { body })) as ActionView,
    discard: async (id, body) =>
      (await send("POST", `/v1/dlq/${encodeURIComponent(id)}/discard`, { body })) as ActionView,
    get: (path) => send("GET", path),
  };
}

type Following = {
  readonly base: string;
  readonly authorization: Record<string, string>;
  readonly filter: StreamFilter;
  readonly from: number | undefined;
  readonly signal: AbortSignal;
};

async function* follow(following: Following): AsyncGenerator<RecordView> {
  const { signal } = following;
  const seen: { id: string | undefined } = { id: undefined };
  while (!isOver(signal)) {
    try {
      yield* followOnce(following, seen);
    } catch (thrown) {
      if (isOver(signal)) return;
      if (!(thrown instanceof ClientError)) throw thrown;
      const mayPass = thrown.status === 0 || thrown.status === 429 || thrown.status >= 500;
      if (!mayPass || seen.id === undefined) throw thrown;
    }
    await pause(resumeMs, signal);
  }
}

/** A function, as the signal is another's to change: what was true a line ago may not be true now. */
function isOver(signal: AbortSignal): boolean {
  return signal.aborted;
}

/** One connection: ends where it breaks. `seen` is the place that the next one resumes behind. */
async function* followOnce(
  { base, authorization, filter, from, signal }: Following,
  seen: { id: string | undefined },
): AsyncGenerator<RecordView> {
  const start: JsonObject = seen.id === undefined && from !== undefined ? { from } : {};
  const response = await reach(base, `/v1/events/stream${search({ ...filter, ...start })}`, {
    method: "GET",
    headers: { ...authorization, ...(seen.id === undefined ? {} : { "last-event-id": seen.id }) },
    signal,
    headersTimeout: silentMsMax,
    bodyTimeout: silentMsMax,
  });
  if (response.statusCode >= 400) {
    throw problem(response.statusCode, parse(await textOf(base, response)));
  }
  const told = messages(response.body);
  try {
    for (;;) {
      const next = await told.next().catch((thrown: unknown) => {
        throw unreachable(base, thrown);
      });
      if (next.done === true) return;
      const { id, data } = next.value;
      if (id !== undefined) seen.id = id;
      if (data !== "") yield JSON.parse(data) as RecordView;
    }
  } finally {
    await told.return(undefined);
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    if (signal.aborted) done();
    else signal.addEventListener("abort", done);
  });
}

/** The messages of a stream of server-sent events; one without data tells a place. */
async function* messages(
  body: AsyncIterable<Uint8Array>,
): AsyncGenerator<{ readonly id: string | undefined; readonly data: string }> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of body) {
    text += decoder.decode(chunk, { stream: true });
    for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
      const lines = text.slice(0, end).split("\n");
      text = text.slice(end + 2);
      const id = lines.find((line) => line.startsWith("id: "))?.slice(4);
      const data = lines.filter((line) => line.startsWith("data: ")).map((line) => line.slice(6));
      yield { id, data: data.join("\n") };
    }
  }
}

type Sending = {
  readonly method: Dispatcher.HttpMethod;
  readonly headers: Record<string, string>;
  readonly body?: string | null;
  readonly signal?: AbortSignal;
  readonly headersTimeout?: number;
  readonly bodyTimeout?: number;
};

async function reach(
  base: string,
  path: string,
  sending: Sending,
): Promise<Dispatcher.ResponseData> {
  try {
    return await request(`${base}${path}`, sending);
  } catch (thrown) {
    throw unreachable(base, thrown);
  }
}

async function textOf(base: string, response: Dispatcher.ResponseData): Promise<string> {
  try {
    return await response.body.text();
  } catch (thrown) {
    throw unreachable(base, thrown);
  }
}

/** No answer came: why, and what to do. */
function unreachable(base: string, thrown: unknown): ClientError {
  if (thrown instanceof Error && thrown.name === "TimeoutError") {
    return new ClientError({
      status: 0,
      kind: "timeout",
      message: `Cannot wait any longer for ${base}: no answer came in time. What was asked for may still happen: ask again with the same idempotency key`,
    });
  }
  const why = thrown instanceof Error ? reasonOf(thrown) : String(thrown);
  return new ClientError({
    status: 0,
    kind: "unavailable",
    message: `Cannot reach ${base}: ${why}. Start it with \`deed start\`, or name another with --url or DEED_URL`,
  });
}

/** Some errors of the socket have a code and no message. */
function reasonOf(thrown: Error): string {
  const code = "code" in thrown && typeof thrown.code === "string" ? thrown.code : "";
  return thrown.message === "" ? code || thrown.name : thrown.message;
}

function problem(status: number, value: Json): ClientError {
  const { kind, detail, problems }: JsonObject = isJsonObject(value) ? value : {};
  return new ClientError({
    status,
    kind: isErrorKind(kind) ? kind : "executor_error",
    message: typeof detail === "string" ? detail : `HTTP ${String(status)}`,
    problems: isList(problems) ? problems : [],
  });
}

function isList(value: Json | undefined): value is readonly Json[] {
  return Array.isArray(value);
}

function parse(text: string): Json {
  try {
    return text === "" ? {} : (JSON.parse(text) as Json);
  } catch {
    return text;
  }
}
