/**
 * The client of the API: what the command line uses, and what other programs import.
 *
 * Every error is a `ClientError` with the problem's words. A stream that breaks is taken up again behind
 * the last record that was seen.
 */
import { request, type Dispatcher } from "undici";
import { isJsonObject, type Json, type JsonObject } from "../base/json.ts";
import { isErrorKind, type ErrorKind } from "../event/error.ts";

export type ClientOptions = {
  /** e.g. `http://127.0.0.1:7333`. */
  readonly url: string;
  readonly token?: string;
};

/** An action as the API shows it. */
export type ActionView = JsonObject & {
  readonly action_id: string;
  readonly status: string;
};

/** A record as the API shows it. */
export type RecordView = {
  readonly topic: string;
  readonly offset: number;
  readonly ingested_at: string;
  readonly event: JsonObject & {
    readonly event_id: string;
    readonly event_type: string;
    readonly ts: string;
  };
};

export type RequestOptions = {
  /** Waits for the outcome, seconds. */
  readonly waitSec?: number;
  readonly idempotencyKey?: string;
};

export type StreamFilter = {
  readonly [name in "topic" | "type" | "entity_id" | "action_id" | "tenant"]?: string;
};

export class ClientError extends Error {
  override readonly name = "ClientError";
  /** 0 where no answer came. */
  readonly status: number;
  readonly kind: ErrorKind;
  readonly problems: readonly Json[];

  constructor(status: number, kind: ErrorKind, message: string, problems: readonly Json[] = []) {
    super(message);
    this.status = status;
    this.kind = kind;
    this.problems = problems;
  }
}

export type Client = {
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

/** How long a broken stream waits before it is taken up again, milliseconds. */
const resumeMs = 500;

export function createClient(options: ClientOptions): Client {
  const base = options.url.replace(/\/$/, "");
  const authorization: Record<string, string> =
    options.token === undefined ? {} : { authorization: `Bearer ${options.token}` };

  const send = async (
    method: Dispatcher.HttpMethod,
    path: string,
    sent: { readonly body?: Json; readonly headers?: Record<string, string> } = {},
  ): Promise<JsonObject> => {
    const response = await reach(base, path, {
      method,
      headers: {
        accept: "application/json",
        ...authorization,
        ...(sent.body === undefined ? {} : { "content-type": "application/json" }),
        ...sent.headers,
      },
      body: sent.body === undefined ? null : JSON.stringify(sent.body),
      headersTimeout: 0,
    });
    const value = parse(await response.body.text());
    if (response.statusCode >= 400) throw problem(response.statusCode, value);
    return isJsonObject(value) ? value : {};
  };

  return {
    request: async (body, { waitSec, idempotencyKey } = {}) =>
      (await send("POST", "/v1/actions", {
        body,
        headers: {
          ...(waitSec === undefined ? {} : { prefer: `wait=${String(waitSec)}` }),
          ...(idempotencyKey === undefined ? {} : { "idempotency-key": idempotencyKey }),
        },
      })) as ActionView,
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
  const { base, authorization, filter, from, signal } = following;
  let lastId: string | undefined;
  let reached = false;
  while (!signal.aborted) {
    try {
      const start: JsonObject = lastId === undefined && from !== undefined ? { from } : {};
      const response = await reach(base, `/v1/events/stream${search({ ...filter, ...start })}`, {
        method: "GET",
        headers: { ...authorization, ...(lastId === undefined ? {} : { "last-event-id": lastId }) },
        signal,
        bodyTimeout: 60_000,
      });
      if (response.statusCode >= 400) {
        throw problem(response.statusCode, parse(await response.body.text()));
      }
      reached = true;
      for await (const { id, data } of messages(response.body)) {
        lastId = id;
        yield JSON.parse(data) as RecordView;
      }
    } catch (thrown) {
      if (signal.aborted) return;
      const refused = thrown instanceof ClientError && (thrown.status !== 0 || !reached);
      if (refused) throw thrown;
    }
    if (!signal.aborted) await new Promise((resolve) => setTimeout(resolve, resumeMs));
  }
}

/** The messages of a stream of server-sent events. */
async function* messages(
  body: AsyncIterable<Uint8Array>,
): AsyncGenerator<{ readonly id: string; readonly data: string }> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of body) {
    text += decoder.decode(chunk, { stream: true });
    for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
      const lines = text.slice(0, end).split("\n");
      text = text.slice(end + 2);
      const id = lines.find((line) => line.startsWith("id: "))?.slice(4);
      const data = lines.filter((line) => line.startsWith("data: ")).map((line) => line.slice(6));
      if (id !== undefined && data.length > 0) yield { id, data: data.join("\n") };
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
    const why = thrown instanceof Error ? thrown.message : String(thrown);
    throw new ClientError(
      0,
      "unavailable",
      `Cannot reach ${base}: ${why}. Start it with \`deed start\`, or name another with --url or DEED_URL`,
    );
  }
}

function problem(status: number, value: Json): ClientError {
  if (!isJsonObject(value))
    return new ClientError(status, "executor_error", `HTTP ${String(status)}`);
  const { kind, detail, problems } = value;
  return new ClientError(
    status,
    isErrorKind(kind) ? kind : "executor_error",
    typeof detail === "string" ? detail : `HTTP ${String(status)}`,
    Array.isArray(problems) ? (problems as readonly Json[]) : [],
  );
}

function parse(text: string): Json {
  try {
    return text === "" ? {} : (JSON.parse(text) as Json);
  } catch {
    return text;
  }
}

function search(query: JsonObject): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== null) {
      parameters.set(name, typeof value === "string" ? value : JSON.stringify(value));
    }
  }
  const text = parameters.toString();
  return text === "" ? "" : `?${text}`;
}
