import { isJsonObject, type Json, type JsonObject } from "../../base/json.ts";
import { tenantOf, type DeedEvent, type Scalar, type Tags } from "../../event/envelope.ts";
import { executionId, type ExecutionId } from "../../event/ids.ts";

/** What an execution's events repeat from its request. */
export type About = {
  readonly executionId: ExecutionId;
  readonly tenant: string;
  readonly path: string;
  /** Where the request names a version. */
  readonly digest?: string;
  /** How many parents it has. */
  readonly depth: number;
  readonly correlationId: string;
  /** Tags of the request, without its place in a parent. */
  readonly tags: Tags;
  readonly parentId?: ExecutionId;
  /** The place in the parent that waits for the end, as tags. */
  readonly place?: Tags;
  readonly traceparent?: string;
};

const placeNames: ReadonlySet<string> = new Set(["step", "activation", "item", "task", "attempt"]);

export function aboutOf(event: DeedEvent): About | undefined {
  const { execution_id: execution, parent_execution_id: parent, attrs, traceparent } = event;
  const { playbook: path, digest, depth } = attrs;
  if (execution === undefined || typeof path !== "string") return undefined;
  const tags: Record<string, Scalar | undefined> = {};
  const place: Record<string, Scalar | undefined> = {};
  for (const [name, value] of Object.entries(event.tags)) {
    if (parent !== undefined && placeNames.has(name)) place[name] = value;
    else tags[name] = value;
  }
  return {
    executionId: execution,
    tenant: tenantOf(event),
    path,
    ...(typeof digest === "string" ? { digest } : {}),
    depth: typeof depth === "number" ? depth : 0,
    correlationId: event.correlation_id ?? event.event_id,
    tags,
    ...(parent === undefined ? {} : { parentId: parent, place }),
    ...(traceparent === undefined ? {} : { traceparent }),
  };
}

/** Our own writing, read back from a snapshot. */
export function readAbout(saved: Json | undefined): About | undefined {
  if (saved === undefined || !isJsonObject(saved)) return undefined;
  const { executionId: id, tenant, path, digest, correlationId, tags, parentId, place } = saved;
  if (typeof id !== "string" || typeof tenant !== "string" || typeof path !== "string") {
    return undefined;
  }
  if (typeof correlationId !== "string" || !isTags(tags)) return undefined;
  const { traceparent, depth } = saved;
  return {
    executionId: executionId(id),
    tenant,
    path,
    ...(typeof digest === "string" ? { digest } : {}),
    depth: typeof depth === "number" ? depth : 0,
    correlationId,
    tags,
    ...(typeof parentId === "string" ? { parentId: executionId(parentId) } : {}),
    ...(isTags(place) ? { place } : {}),
    ...(typeof traceparent === "string" ? { traceparent } : {}),
  };
}

function isTags(value: Json | undefined): value is JsonObject & Tags {
  return value !== undefined && isJsonObject(value);
}
