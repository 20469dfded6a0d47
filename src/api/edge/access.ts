/**
 * Who may ask.
 *
 * Without a token only this machine is served, and only what asks for it by a loopback name: a page of
 * another site that resolves its own name to loopback still sends that name as Host, and a page that
 * asks for 127.0.0.1 still sends its own Origin. With tokens, each names the tenant it speaks for.
 */
import { createHash, timingSafeEqual } from "node:crypto";
import type { FastifyRequest } from "fastify";
import { deedError, fault } from "../../event/error.ts";
import { isLoopback } from "../loopback.ts";
import { HttpFault } from "../problem.ts";

export type Token = { readonly digest: Buffer; readonly tenant: string };

export function tokenOf({ token, tenant }: { token: string; tenant: string }): Token {
  return { digest: digestOf(token), tenant };
}

/** @throws {Fault} `permission` for a name or an origin that is not this machine's. */
export function checkLocal({ headers }: FastifyRequest): void {
  const host = headers.host ?? "";
  if (!isLoopback(nameOf(host))) {
    throw fault(
      "permission",
      `Cannot serve Host "${host}": without a token only loopback names are answered`,
    );
  }
  const { origin } = headers;
  if (origin === undefined) return;
  const from = /^https?:\/\/(.+)$/.exec(origin)?.[1];
  if (from !== undefined && isLoopback(nameOf(from))) return;
  throw fault(
    "permission",
    `Cannot serve a page of "${origin}": without a token only pages of this machine are answered`,
  );
}

/**
 * The tenant of the request's token.
 *
 * @throws {HttpFault} 401
 */
export function authenticate(request: FastifyRequest, tokens: readonly Token[]): string {
  const given = /^Bearer +(\S+) *$/i.exec(request.headers.authorization ?? "")?.[1];
  if (given !== undefined) {
    const digest = digestOf(given);
    const match = tokens.find((token) => timingSafeEqual(token.digest, digest));
    if (match !== undefined) return match.tenant;
  }
  const message =
    "Cannot serve the request as it carries no valid token: send Authorization: Bearer <token>";
  throw new HttpFault(401, deedError("permission", message));
}

/** A host without its port. */
function nameOf(host: string): string {
  return host.startsWith("[")
    ? host.slice(0, host.indexOf("]") + 1)
    : (host.split(":")[0] ?? "").toLowerCase();
}

function digestOf(token: string): Buffer {
  return createHash("sha256").update(token).digest();
}
