import type { FastifyInstance } from "fastify";
import { deedError } from "../../event/error.ts";
import { sendProblem } from "../problem.ts";

/** What no route serves: 405 with `Allow` where the path is known, 404 elsewhere. */
export function answerUnrouted(app: FastifyInstance): void {
  const routes: { readonly pattern: RegExp; readonly methods: readonly string[] }[] = [];
  app.addHook("onRoute", ({ url, method }) => {
    const pattern = new RegExp(`^${url.replaceAll(".", "\\.").replaceAll(/:\w+/g, "[^/]+")}$`);
    routes.push({ pattern, methods: [method].flat() });
  });
  app.setNotFoundHandler((request, reply) => {
    const path = request.url.split("?")[0] ?? "";
    const allowed = routes.flatMap(({ pattern, methods }) => (pattern.test(path) ? methods : []));
    if (allowed.length === 0) {
      const message = `There is nothing at ${request.method} ${path}: /openapi.json lists what there is`;
      return sendProblem(reply, { status: 404, error: deedError("not_found", message) });
    }
    const allow = [...new Set(allowed)].sort().join(", ");
    const message = `Cannot ${request.method} ${path}: it takes ${allow}`;
    const error = deedError("invalid_args", message);
    return sendProblem(reply, { status: 405, error, headers: { allow } });
  });
}
