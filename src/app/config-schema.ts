import Type from "typebox";
import { topics } from "../event/topic.ts";

const strict = { additionalProperties: false };

/** Read by `parseDurationMs`, whose refusal says more than a pattern. */
const duration = Type.String();

const text = Type.String({ minLength: 1 });

const count = Type.Integer({ minimum: 1, maximum: 100_000 });

const memory = Type.String({
  pattern: "^[1-9][0-9]*(KB|MB|GB|TB|KiB|MiB|GiB|TiB)$",
  description: "a size, as 512MiB or 2GiB",
});

const fileSource = Type.Object(
  {
    kind: Type.Literal("file"),
    name: text,
    path: text,
    interval: Type.Optional(duration),
    mapping: Type.Optional(
      Type.Object(
        {
          event_type: text,
          entity_id: text,
          ts: text,
          correlation_id: Type.Optional(text),
          tags: Type.Optional(Type.Record(Type.String(), Type.String())),
        },
        strict,
      ),
    ),
  },
  strict,
);

const probeTiming = {
  kind: Type.Literal("probe"),
  name: text,
  entity: text,
  interval: Type.Optional(duration),
  timeout: Type.Optional(duration),
  failures_to_down: Type.Optional(count),
  successes_to_up: Type.Optional(count),
  remind: Type.Optional(duration),
  heartbeat: Type.Optional(duration),
  degraded: Type.Optional(
    Type.Object({ share: Type.Number({ minimum: 0, maximum: 1 }), window: count }, strict),
  ),
};

const probeSource = Type.Object(
  {
    ...probeTiming,
    http: Type.Optional(
      Type.Object(
        { url: text, expect_status: Type.Optional(count), slow: Type.Optional(duration) },
        strict,
      ),
    ),
    tcp: Type.Optional(
      Type.Object(
        {
          host: text,
          port: Type.Integer({ minimum: 1, maximum: 65_535 }),
          send: Type.Optional(Type.String()),
        },
        strict,
      ),
    ),
    process: Type.Optional(Type.Object({ pid_file: text }, strict)),
  },
  strict,
);

/** Which members belong to which `from` is told by `config/credentials.ts`, in words. */
const credential = Type.Object(
  {
    from: Type.Enum(["env", "file", "command"]),
    names: Type.Optional(Type.Record(Type.String(), text)),
    prefix: Type.Optional(text),
    path: Type.Optional(text),
    argv: Type.Optional(Type.Array(text, { minItems: 1 })),
    env_pass: Type.Optional(Type.Array(text)),
    timeout: Type.Optional(duration),
    format: Type.Optional(Type.Enum(["object", "value"])),
    tenants: Type.Optional(Type.Array(text)),
    fields: Type.Optional(
      Type.Record(Type.String(), Type.Union([Type.String(), Type.Number(), Type.Boolean()])),
    ),
    open: Type.Optional(Type.Array(text)),
    cache: Type.Optional(duration),
  },
  strict,
);

/** `deed.yaml` as people write it. */
export const configSchema = Type.Object(
  {
    data: Type.Optional(text),
    listen: Type.Optional(text),
    api: Type.Optional(
      Type.Object(
        {
          token_env: Type.Optional(text),
          token_file: Type.Optional(text),
          tenant: Type.Optional(text),
          tokens: Type.Optional(
            Type.Array(
              Type.Object(
                {
                  tenant: text,
                  token_env: Type.Optional(text),
                  token_file: Type.Optional(text),
                },
                strict,
              ),
            ),
          ),
          body_bytes_max: Type.Optional(Type.Integer({ minimum: 1_024 })),
        },
        strict,
      ),
    ),
    log: Type.Optional(
      Type.Object(
        {
          path: Type.Optional(text),
          dedup_window: Type.Optional(duration),
          event_bytes_max: Type.Optional(Type.Integer({ minimum: 1_024 })),
          retention: Type.Optional(
            Type.Object(
              Object.fromEntries(topics.map((topic) => [topic, Type.Optional(duration)])),
              strict,
            ),
          ),
        },
        strict,
      ),
    ),
    worker: Type.Optional(
      Type.Object({ lease: Type.Optional(duration), grace: Type.Optional(duration) }, strict),
    ),
    executors: Type.Optional(
      Type.Object(
        {
          http: Type.Optional(
            Type.Object(
              {
                allow_hosts: Type.Optional(Type.Array(text)),
                remap: Type.Optional(Type.Record(Type.String(), text)),
                concurrency: Type.Optional(count),
                timeout: Type.Optional(duration),
                response_bytes_max: Type.Optional(Type.Integer({ minimum: 1 })),
              },
              strict,
            ),
          ),
          scripts: Type.Optional(
            Type.Object(
              { root: Type.Optional(text), strip: Type.Optional(Type.Array(text)) },
              strict,
            ),
          ),
          shell: Type.Optional(
            Type.Object(
              {
                allow: Type.Optional(Type.Array(Type.Array(text, { minItems: 1 }))),
                lines: Type.Optional(Type.Boolean()),
                cwd_root: Type.Optional(text),
                env_pass: Type.Optional(Type.Array(text)),
                concurrency: Type.Optional(count),
                timeout: Type.Optional(duration),
              },
              strict,
            ),
          ),
          python: Type.Optional(
            Type.Object(
              {
                enabled: Type.Optional(Type.Boolean()),
                interpreter: Type.Optional(text),
                cwd: Type.Optional(text),
                env_pass: Type.Optional(Type.Array(text)),
                concurrency: Type.Optional(count),
                timeout: Type.Optional(duration),
              },
              strict,
            ),
          ),
          postgres: Type.Optional(
            Type.Object(
              {
                enabled: Type.Optional(Type.Boolean()),
                dsn_env: Type.Optional(text),
                dsn_file: Type.Optional(text),
                concurrency: Type.Optional(count),
                timeout: Type.Optional(duration),
                result_bytes_max: Type.Optional(Type.Integer({ minimum: 1 })),
              },
              strict,
            ),
          ),
          duckdb: Type.Optional(
            Type.Object(
              {
                enabled: Type.Optional(Type.Boolean()),
                root: Type.Optional(text),
                external_access: Type.Optional(Type.Boolean()),
                memory_limit: Type.Optional(memory),
                threads: Type.Optional(count),
                concurrency: Type.Optional(count),
                timeout: Type.Optional(duration),
                result_bytes_max: Type.Optional(Type.Integer({ minimum: 1 })),
              },
              strict,
            ),
          ),
        },
        strict,
      ),
    ),
    credentials: Type.Optional(Type.Record(text, credential)),
    rules: Type.Optional(Type.Array(text)),
    schedules: Type.Optional(Type.Array(text)),
    playbooks: Type.Optional(
      Type.Object(
        { paths: Type.Optional(Type.Array(text)), env: Type.Optional(Type.Array(text)) },
        strict,
      ),
    ),
    sources: Type.Optional(Type.Array(Type.Union([fileSource, probeSource]))),
  },
  strict,
);

export { probeSource as probeSourceSchema };
