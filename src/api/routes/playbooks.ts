/**
 * The catalog of playbooks. A path of it holds slashes: in a URL they are written `%2F`.
 *
 * It is one for all tenants: what one registers, each may run.
 */
import type { FastifyInstance } from "fastify";
import Type from "typebox";
import { timestamp } from "../../base/clock.ts";
import { sha256Hex } from "../../base/hash.ts";
import type { JsonObject } from "../../base/json.ts";
import { fault, type Fault } from "../../event/error.ts";
import type {
  Context,
  PlaybookFinding,
  PlaybookInfo,
  Playbooks,
  PlaybookVersionInfo,
} from "../context.ts";
import { digits, limitOf, pageOf, problems, text } from "./shapes.ts";

const tags = ["playbooks"];

const digest = Type.String({ pattern: "^[0-9a-f]{64}$" });

const pathParams = Type.Object({ path: text });

const playbookSchema = Type.Object(
  { path: Type.String(), digest: Type.String() },
  { title: "Playbook", additionalProperties: true },
);

const findingSchema = Type.Object(
  { code: Type.String(), severity: Type.String(), message: Type.String() },
  { title: "Finding", additionalProperties: true },
);

export function playbookRoutes(app: FastifyInstance, context: Context): void {
  registerRoute(app, context);
  readRoutes(app, context);
  pinRoutes(app, context);
}

function registerRoute(app: FastifyInstance, { playbooks, log, clock }: Context): void {
  app.post<{ Body: { text: string; file?: string; path?: string } }>(
    "/v1/playbooks",
    {
      schema: {
        operationId: "registerPlaybook",
        description:
          "Registers a text as the newest version at its path (metadata.path, else its name). The text that is the newest already changes nothing. What cannot be run is refused with every finding.",
        tags,
        body: Type.Object(
          {
            text: Type.String({ minLength: 1 }),
            file: Type.Optional(text),
            path: Type.Optional(text),
          },
          { additionalProperties: false },
        ),
        response: {
          200: registeredSchema,
          201: registeredSchema,
          ...problems(400, 401, 413, 422, 503),
        },
      },
    },
    async (request, reply) => {
      const { text: given, file, path: named } = request.body;
      const { path: own, findings } = playbooks.check(given, file ?? named ?? "playbook.yaml");
      if (own === undefined) throw notRunnable(findings);
      const path = named ?? own;
      const version = { path, digest: sha256Hex(given), text: given };
      const replaces = find(playbooks, path)?.versions.at(-1)?.digest;
      const registered = replaces !== version.digest;
      if (registered) {
        const at = { ts: timestamp(clock.nowMs()), replaces };
        await log.append([
          playbooks.registered({ ...version, ...(file === undefined ? {} : { file }) }, at),
        ]);
      }
      reply.header("location", locationOf(path));
      return reply
        .code(registered ? 201 : 200)
        .send({ path, digest: version.digest, registered, findings });
    },
  );
}

const registeredSchema = Type.Object({
  path: Type.String(),
  digest: Type.String(),
  registered: Type.Boolean({ description: "False: this text is the newest there already" }),
  findings: Type.Array(findingSchema),
});

function readRoutes(app: FastifyInstance, { playbooks }: Context): void {
  app.get<{ Querystring: { limit?: string; cursor?: string } }>(
    "/v1/playbooks",
    {
      schema: {
        operationId: "listPlaybooks",
        description: "Lists the paths of the catalog, by name, each with the version that runs",
        tags,
        querystring: Type.Object(
          { limit: Type.Optional(digits), cursor: Type.Optional(Type.String()) },
          { additionalProperties: false },
        ),
        response: {
          200: Type.Object({
            playbooks: Type.Array(playbookSchema),
            next_cursor: Type.Optional(Type.String()),
          }),
          ...problems(400, 401),
        },
      },
    },
    ({ query }) => {
      const limit = limitOf(query.limit, 100, 1_000);
      const after = parsePathCursor(query.cursor);
      const rest = playbooks.entries().filter(({ path }) => after === undefined || path > after);
      const { page, last } = pageOf(rest, limit);
      return {
        playbooks: page.map(listed),
        ...(last === undefined ? {} : { next_cursor: pathCursorOf(last.path) }),
      };
    },
  );

  app.get<{ Params: { path: string }; Querystring: { digest?: string } }>(
    "/v1/playbooks/:path",
    {
      schema: {
        operationId: "getPlaybook",
        description:
          "The versions at a path, newest first; with digest, that version and its text. Slashes in the path are written %2F.",
        tags,
        params: pathParams,
        querystring: Type.Object(
          { digest: Type.Optional(digest) },
          { additionalProperties: false },
        ),
        response: { 200: playbookSchema, ...problems(400, 401, 404) },
      },
    },
    (request) => {
      const entry = findPlaybook(playbooks, request.params.path);
      const wanted = request.query.digest;
      if (wanted === undefined) return detail(entry);
      const version = versionOf(entry, wanted);
      return { path: entry.path, ...versionView(entry, version), text: playbooks.text(wanted) };
    },
  );
}

function pinRoutes(app: FastifyInstance, context: Context): void {
  const { playbooks, log, clock } = context;
  const pin = async (path: string, wanted: string | undefined): Promise<JsonObject> => {
    const entry = findPlaybook(playbooks, path);
    if (wanted !== undefined) versionOf(entry, wanted);
    if (entry.pinned !== wanted) {
      await log.append([playbooks.pinned(path, wanted, timestamp(clock.nowMs()))]);
    }
    return detail(findPlaybook(playbooks, path));
  };

  app.put<{ Params: { path: string }; Body: { digest: string } }>(
    "/v1/playbooks/:path/pin",
    {
      schema: {
        operationId: "pinPlaybook",
        description: "Holds a path at a version, whatever is registered after it",
        tags,
        params: pathParams,
        body: Type.Object({ digest }, { additionalProperties: false }),
        response: { 200: playbookSchema, ...problems(400, 401, 404, 503) },
      },
    },
    (request) => pin(request.params.path, request.body.digest),
  );

  app.delete<{ Params: { path: string } }>(
    "/v1/playbooks/:path/pin",
    {
      schema: {
        operationId: "unpinPlaybook",
        description: "Lets a path go: the version that was registered last runs again",
        tags,
        params: pathParams,
        response: { 200: playbookSchema, ...problems(400, 401, 404, 503) },
      },
    },
    (request) => pin(request.params.path, undefined),
  );
}

/** The path, if anything was ever registered there. @throws {Fault} `not_found` */
export function findPlaybook(playbooks: Playbooks, path: string): PlaybookInfo {
  const entry = find(playbooks, path);
  if (entry !== undefined) return entry;
  throw fault("not_found", `There is no playbook "${path}": deed playbook register brings one`);
}

/** @throws {Fault} `not_found` */
export function versionOf(entry: PlaybookInfo, wanted: string): PlaybookVersionInfo {
  const version = entry.versions.find((one) => one.digest === wanted);
  if (version !== undefined) return version;
  throw fault("not_found", `There is no version ${wanted} of playbook "${entry.path}"`);
}

/** The version that runs where none is named. */
export function currentOf({ pinned, versions }: PlaybookInfo): string {
  return pinned ?? versions.at(-1)?.digest ?? "";
}

function find(playbooks: Playbooks, path: string): PlaybookInfo | undefined {
  return playbooks.entries().find((entry) => entry.path === path);
}

function listed(entry: PlaybookInfo): JsonObject {
  const newest = entry.versions.at(-1);
  return {
    path: entry.path,
    digest: currentOf(entry),
    pinned: entry.pinned !== undefined,
    versions: entry.versions.length,
    registered_at: newest === undefined ? undefined : timestamp(newest.registeredAtMs),
    file: newest?.file,
  };
}

function detail(entry: PlaybookInfo): JsonObject {
  const versions = entry.versions.map((version) => versionView(entry, version)).reverse();
  return { ...listed(entry), versions };
}

function versionView(entry: PlaybookInfo, version: PlaybookVersionInfo): JsonObject {
  return {
    digest: version.digest,
    current: version.digest === currentOf(entry),
    pinned: version.digest === entry.pinned,
    registered_at: timestamp(version.registeredAtMs),
    offset: version.offset,
    file: version.file,
  };
}

/** Every finding as a problem, in its place of the file. */
function notRunnable(findings: readonly PlaybookFinding[]): Fault {
  const errors = findings.filter(({ severity }) => severity === "error");
  const [first] = errors;
  const more = errors.length > 1 ? `, and ${String(errors.length - 1)} more` : "";
  const what = first === undefined ? "it cannot be run" : `${placeOf(first)}: ${first.message}`;
  return fault("unprocessable", `Cannot register the playbook: ${what}${more}`, {
    problems: findings.map((finding) => ({ ...finding, pointer: placeOf(finding) })),
  });
}

function placeOf({ file, line, column }: PlaybookFinding): string {
  return `${file}:${String(line)}:${String(column)}`;
}

function locationOf(path: string): string {
  return `/v1/playbooks/${encodeURIComponent(path)}`;
}

function pathCursorOf(path: string): string {
  return Buffer.from(`p${path}`).toString("base64url");
}

function parsePathCursor(cursor: string | undefined): string | undefined {
  if (cursor === undefined) return undefined;
  const read = Buffer.from(cursor, "base64url").toString("utf8");
  if (read.startsWith("p") && pathCursorOf(read.slice(1)) === cursor) return read.slice(1);
  const message = `"${cursor}" is not a cursor of this list: take one from next_cursor`;
  throw fault("invalid_args", message);
}
