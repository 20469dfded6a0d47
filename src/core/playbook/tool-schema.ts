/** The keys of tools and of their policies, as JSON Schema. See `schema.ts`. */
import Type, { type TObjectOptions, type TSchema } from "typebox";

export type Known = { readonly [key: string]: TSchema };

/** A mapping of these keys and no others; those that are not required may be left out. */
export function shape(
  keys: Known,
  options: TObjectOptions & { readonly required?: string[] } = {},
): TSchema {
  const { required = [], ...rest } = options;
  const properties = Object.entries(keys).map(([key, schema]) => [
    key,
    required.includes(key) ? schema : Type.Optional(schema),
  ]);
  return Type.Object(Object.fromEntries(properties) as Known, {
    additionalProperties: false,
    ...rest,
  });
}

/** A schema of `$defs`, by its name. */
export function defined(name: string, description?: string): TSchema {
  const about = description === undefined ? {} : { description };
  return Type.Unsafe({ $ref: `#/$defs/${name}`, ...about });
}

export const text = (description: string) => Type.String({ description });
export const any = (description: string) => Type.Unknown({ description });
export const number = (description: string) =>
  Type.Union([Type.Number(), Type.String()], { description: `${description}; or a template` });
export const words = (description: string, ...all: readonly string[]) =>
  Type.Union(
    all.map((word) => Type.Literal(word)),
    { description },
  );
export const mapping = (description: string) =>
  Type.Record(Type.String(), Type.Unknown(), { description });
export const when = Type.Union([Type.String(), Type.Boolean()], {
  description: "A condition: {{ expr }} or a bare expression",
});

export const ignored = (why: string) =>
  Type.Unknown({ description: why, deprecated: true, "x-finding": "ignored-key" });
const notRun = (why: string) =>
  Type.Unknown({ description: why, deprecated: true, "x-finding": "not-run" });

/** Keys of the origin's object store: they are read and nothing follows from them. */
export const storeKeys: Known = {
  output_select: notRun("large results travel by reference on their own"),
  _ref: notRun("large results travel by reference on their own"),
  _store: notRun("large results are stored where the configuration says"),
  store: notRun("large results are stored where the configuration says"),
};

export const assertKey = ignored("what goes in and comes out of a tool is not asserted");

export const set = mapping("Values to keep: ctx.<name>, iter.<name> or step.<name>");
export const setOf = (scope: string) => mapping(`Older word: ${scope}.<name> in set`);
const input = mapping("Values for the tool, templates in them");

export const consequenceKeys: Known = {
  do: words("What follows; default continue", "continue", "retry", "fail", "break", "jump"),
  set,
  set_ctx: setOf("ctx"),
  set_iter: setOf("iter"),
  attempts: number("retry: all attempts, the first included; default 3"),
  backoff: words(
    "retry: how the delay grows; default fixed",
    "none",
    "fixed",
    "linear",
    "exponential",
  ),
  delay: number("retry: the first delay, seconds; default 0, with a growing backoff 1"),
  max_delay: number("retry: the longest delay, seconds"),
  to: text("jump: the name of a task in this step"),
};

const consequence = shape(consequenceKeys);

export const ruleKeys: Known = {
  name: text("For people"),
  desc: text("For people"),
  when,
  then: defined("consequence", "What follows where it holds"),
  else: Type.Union([Type.Null(), shape({ then: defined("consequence"), ...consequenceKeys })], {
    description: "What follows where no rule before holds",
  }),
};

const rule = shape(ruleKeys);

export const taskPolicyKeys: Known = {
  rules: Type.Array(rule, { description: "The first rule that holds decides" }),
};

const taskPolicy = shape(taskPolicyKeys, { description: "rules: what follows an outcome" });

export const toolSpecKeys: Known = {
  policy: taskPolicy,
  timeout: number("Seconds that one attempt may take"),
};

const toolSpec = shape(toolSpecKeys, { description: "Policy and limits, nothing else" });

export const retryKeys: Known = {
  max_attempts: number("All attempts, the first included; default 3"),
  attempts: number("Same as max_attempts"),
  initial_delay: number("The first delay, seconds; default 1"),
  delay: number("Same as initial_delay"),
  backoff_multiplier: number("1: the delay stays; else it grows exponentially"),
  backoff: words("How the delay grows", "none", "fixed", "linear", "exponential"),
  max_delay: number("The longest delay, seconds"),
  retry_when: when,
  stop_when: when,
  jitter: ignored("delays are the same in every replay, so there is no jitter"),
};

const retry = shape(retryKeys);

/** What every tool may have. */
export const toolCommon: Known = {
  kind: text("python, http, postgres, playbook, noop, …"),
  name: text("The name of the task; with kind workbook, the entry that it stands for"),
  desc: text("For people"),
  description: text("For people"),
  input,
  args: mapping("Older word for input"),
  auth: any("The alias of a credential"),
  credential: any("Older word for auth"),
  set,
  set_ctx: setOf("ctx"),
  set_iter: setOf("iter"),
  idempotent: Type.Boolean({
    description:
      "true: doing it twice does what doing it once does, so an attempt whose worker was lost is made again; default: what the kind says of itself",
  }),
  spec: toolSpec,
  timeout: number("Seconds that one attempt may take"),
  retry: Type.Union([retry, Type.Boolean(), Type.Number()], {
    description: "Older form of a retry rule",
  }),
  assert: assertKey,
  ...storeKeys,
};

const sqlKeys: Known = {
  query: text("SQL, one or more statements"),
  command: text("Older word for query"),
  cmds: text("Older word for query"),
  script: any("Loads the SQL: {uri, source: {type: file|http}}"),
  database: text("The database, or for duckdb the file"),
  params: any("Values for the placeholders of the query"),
  payload: mapping("Older word for input"),
};

/** What the tools of a kind may have beside; a kind that is not here may have anything. */
const toolKinds: { readonly [kind: string]: Known } = {
  python: {
    code: text("The code; templates in it are rendered first"),
    script: any("Loads the code: {uri, source: {type: file|http}}"),
    libs: any("Modules by the name under which the code uses them"),
    payload: mapping("Older word for input"),
  },
  http: {
    method: text("Default GET"),
    url: text("The address"),
    endpoint: text("Older word for url"),
    headers: mapping("Header lines"),
    params: mapping("The query of the address"),
    body: any("What is sent"),
    payload: any("Older word for body"),
    data: any("Older word for body"),
    json: any("Older word for body"),
  },
  postgres: {
    ...sqlKeys,
    pool: ignored("connections are pooled by the executor, whose configuration says how"),
  },
  duckdb: sqlKeys,
  snowflake: sqlKeys,
  ducklake: sqlKeys,
  playbook: {
    path: text("Where the catalog knows the playbook"),
    return_step: text("The step whose data is the result; default: the playbook's own result"),
    version: any("Which version; default the newest"),
    payload: mapping("Older word for input"),
    task: ignored("a playbook is named by its path, and its result by return_step"),
  },
  shell: {
    argv: any("The program and its arguments"),
    command: any("A line for the shell"),
    cmds: any("Older word for command"),
    cwd: text("The folder to run in"),
    env: mapping("Environment variables"),
    stdin: text("What the program reads"),
    payload: mapping("Older word for input"),
  },
  noop: { result: any("What it gives"), payload: mapping("Older word for input") },
  workbook: {
    task: text("The entry that it stands for, where name is the task's own"),
    workbook: text("Same as task"),
    payload: mapping("Older word for input"),
  },
};

const tool = shape(Object.assign({}, ...Object.values(toolKinds), toolCommon) as Known, {
  additionalProperties: true,
  description: "One tool; the keys depend on its kind",
});

export const labelled = Type.Record(Type.String(), defined("tool"), {
  description: "Older form: label: {kind, …}",
});

/** What stands in more than one place. */
export const toolDefinitions: Known = { tool, consequence };

/** Kinds whose keys are all known. */
export const kindsWithKeys: readonly string[] = Object.keys(toolKinds);

/** The keys of one kind of tool; undefined where any may stand. */
export function keysOfKind(kind: string): Known | undefined {
  const own = Object.hasOwn(toolKinds, kind) ? toolKinds[kind] : undefined;
  return own === undefined ? undefined : { ...toolCommon, ...own };
}
