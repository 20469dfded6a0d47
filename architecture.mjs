// The law of the house: which room may import which. One table, read by the import check
// (tools/import-law.mjs) and by the drawing in docs/architecture.md. Purity: no clock, no randomness, no I/O.

/** @type {Record<string, { is: string, pure?: true, port?: true, mayImport: string[] }>} */
export const rooms = {
  base: {
    is: "Result, brand, assert, canonical JSON, hashing, seeded random; Clock as a type",
    pure: true,
    mayImport: [],
  },
  event: {
    is: "envelope, topics, ids, error taxonomy, core event, codecs",
    pure: true,
    mayImport: ["base"],
  },
  action: {
    is: "the action lifecycle as a decider: transitions, retry, lease, ttl, limits",
    pure: true,
    mayImport: ["base", "event"],
  },
  core: {
    is: "orchestrate-core: playbook, template, condition, binding, command, state, evaluate",
    pure: true,
    mayImport: ["base", "event"],
  },
  decider: {
    is: "the decider contract; rules, schedules, playbooks, approvals",
    pure: true,
    mayImport: ["base", "event", "action", "core"],
  },
  log: {
    is: "the Log port: sqlite (default), memory (tests, simulation)",
    port: true,
    mayImport: ["base", "event"],
  },
  executor: {
    is: "the executor port, the worker runtime; http, shell, python, postgres, duckdb, blobs",
    port: true,
    mayImport: ["base", "event", "action"],
  },
  source: {
    is: "what observes: file, probe; mapping to the envelope",
    port: true,
    mayImport: ["base", "event"],
  },
  kernel: {
    is: "drives deciders over a log: routing, instances, timers, leases, dispatch",
    mayImport: ["base", "event", "action", "core", "decider", "log", "executor"],
  },
  api: {
    is: "HTTP, SSE, OpenAPI: appends to the log, reads its views",
    mayImport: ["base", "event", "action", "log"],
  },
  client: {
    is: "what other programs import: talks to the API",
    mayImport: ["base", "event", "action"],
  },
  app: {
    is: "configuration and wiring",
    mayImport: [
      "base",
      "event",
      "action",
      "core",
      "decider",
      "log",
      "executor",
      "source",
      "kernel",
      "api",
      "client",
    ],
  },
  cli: {
    is: "the commands people type",
    mayImport: [
      "base",
      "event",
      "action",
      "core",
      "decider",
      "log",
      "executor",
      "source",
      "kernel",
      "api",
      "client",
      "app",
    ],
  },
};

/** Each driver is known to exactly one place: npm package or Node module → folders that may name it. */
export const drivers = {
  "@photostructure/sqlite": ["src/log/sqlite"],
  "node:sqlite": ["src/log/sqlite"],
  pg: ["src/executor/postgres"],
  "@duckdb/node-api": ["src/executor/duckdb"],
  undici: ["src/executor/http", "src/client", "src/source/probe"],
  fastify: ["src/api"],
  "@fastify/swagger": ["src/api"],
  "prom-client": ["src/app", "src/api"],
  pino: ["src/app"],
  commander: ["src/cli"],
  "@marcbachmann/cel-js": ["src/decider/rule"],
  croner: ["src/decider/schedule"],
  "@noble/hashes": ["src/base"],
  "node:child_process": [
    "src/executor/shell",
    "src/executor/python",
    "src/executor/credential",
    "src/cli",
  ],
};
