/**
 * The format of a playbook as JSON Schema: published for editors, and the one list of known keys.
 *
 * A key that is known but does nothing here has `x-finding`: the reader tells it by that code, with the
 * description as the reason. Values are loose where a template may stand.
 */
import Type, { type TSchema } from "typebox";

import {
  any,
  assertKey,
  consequenceKeys,
  ignored,
  labelled,
  mapping,
  number,
  retryKeys,
  ruleKeys,
  set,
  setOf,
  shape,
  storeKeys,
  taskPolicyKeys,
  text,
  defined,
  toolCommon,
  toolDefinitions,
  toolSpecKeys,
  when,
  words,
  type Known,
} from "./tool-schema.ts";

const arcKeys: Known = {
  step: text("The step that is entered"),
  when,
  set,
  set_ctx: setOf("ctx"),
  args: mapping("Older word for set: ctx.<name>"),
  desc: text("For people"),
  spec: ignored("an arc has no settings of its own"),
};

const arc = shape(arcKeys, { required: ["step"] });

const nextSpecKeys: Known = {
  mode: words(
    "exclusive: the first arc that holds; inclusive: each; default exclusive",
    "exclusive",
    "inclusive",
  ),
  on_no_match: words(
    "Where no arc holds: the branch ends (default), or the step fails",
    "end",
    "quiet",
    "fail",
  ),
  policy: ignored("the field reserves it and nothing is decided by it"),
};

const nextSpec = shape(nextSpecKeys, { description: "How its arcs are decided" });

const routerKeys: Known = {
  spec: nextSpec,
  arcs: Type.Array(defined("arc"), {
    description: "Where it goes on, in the order in which they are asked",
  }),
};

const router = shape(routerKeys, { required: ["arcs"] });

const next = Type.Union(
  [
    Type.Null(),
    Type.String(),
    Type.Array(Type.Union([Type.String(), defined("arc")])),
    router,
    defined("arc"),
  ],
  { description: "Where it goes on; without it this branch ends" },
);

const frameKeys: Known = {
  max_rows: number("Rows that one claim may give; default 1"),
  process: Type.Unknown({ description: "row: the body runs for each row. frame is not run" }),
  lease_seconds: ignored("the lease of running work is kept by the worker"),
  heartbeat_seconds: ignored("running work tells that it lives on its own"),
  max_seconds: ignored("a claim is not cut by time"),
  max_bytes: ignored("a claim is not cut by size: max_rows bounds it"),
  row_concurrency: ignored("max_in_flight says how many rows run at one time"),
};

const frame = shape(frameKeys, { description: "What one claim of a cursor gives" });

const loopMode = words(
  "sequential (default), parallel, or cursor",
  "sequential",
  "parallel",
  "cursor",
  "async",
);

const loopSpecKeys: Known = {
  mode: loopMode,
  max_in_flight: number("Iterations at one time; default 64, sequential 1"),
  frame,
  policy: ignored("where work runs is decided by the workers that take it"),
};

const loopSpec = shape(loopSpecKeys, { description: "How the items are run" });

const cursorKeys: Known = {
  kind: text("The tool that claims; default postgres"),
  claim: text("The query that claims rows"),
  query: text("Same as claim"),
  command: text("Same as claim"),
  auth: any("The alias of a credential"),
  credential: any("Older word for auth"),
  database: text("The database"),
};

const cursor = shape(cursorKeys, {
  description: "Claims rows again and again, until none is left",
});

const loopKeys: Known = {
  in: any("A list or a mapping, as a template or as it is"),
  collection: any("Older word for in"),
  iterator: text("The name of one item; default item"),
  element: text("Older word for iterator"),
  cursor,
  spec: loopSpec,
  mode: loopMode,
  max_in_flight: number("Same as spec.max_in_flight"),
};

const loop = shape(loopKeys, { description: "Runs the step's tools for each item" });

const allowKeys: Known = {
  allow: Type.Boolean({ description: "Whether the step is entered; default true" }),
};

const allow = shape(allowKeys, { description: "Whether the step is entered" });

const admitRuleKeys: Known = {
  name: text("For people"),
  when,
  then: allow,
  allow: Type.Boolean({ description: "Same as then.allow" }),
  else: Type.Union([Type.Null(), shape({ then: allow, ...allowKeys })], {
    description: "Where no rule before holds",
  }),
};

const admitRule = shape(admitRuleKeys);

const admitKeys: Known = {
  mode: words("The first rule that holds decides", "exclusive"),
  rules: Type.Array(admitRule),
};

const admit = shape(admitKeys);

const stepPolicyKeys: Known = { admit };

const stepPolicy = shape(stepPolicyKeys, {
  description: "admit: whether the step is entered",
});

const stepSpecKeys: Known = {
  policy: stepPolicy,
  timeout: number("Seconds, or a duration"),
  next_mode: words("Older place of next.spec.mode", "exclusive", "inclusive"),
};

const stepSpec = shape(stepSpecKeys, {
  description: "Whether the step is entered, and its limits",
});

const stepKeys: Known = {
  step: text("Its name, once in a playbook"),
  desc: text("For people"),
  description: text("For people"),
  when,
  tool: Type.Union(
    [Type.String(), defined("tool"), Type.Array(Type.Union([defined("tool"), labelled]))],
    {
      description: "One tool, or a list: a pipeline",
    },
  ),
  loop,
  input: mapping("Values for its tools, templates in them"),
  args: mapping("Older word for input"),
  payload: mapping("Older word for input"),
  set,
  set_ctx: setOf("ctx"),
  next,
  output: any("A template that replaces the step's data"),
  spec: stepSpec,
  timeout: number("Seconds, or a duration as 10m: all of the step"),
  ...storeKeys,
};

const step = shape(stepKeys, { required: ["step", "tool"] });

const workbookEntry = shape(
  { name: text("Its name"), tool: defined("tool"), assert: assertKey },
  { additionalProperties: true, required: ["name"] },
);

const metadataKeys: Known = {
  name: text("Its name"),
  path: text("Where the catalog knows it; default its name"),
  description: text("For people"),
};

const rootKeys: Known = {
  apiVersion: words("deed/v1 is strict", "noetl.io/v2", "deed/v1"),
  kind: Type.Literal("Playbook", { description: "Always Playbook" }),
  metadata: shape(metadataKeys, {
    required: ["name"],
    additionalProperties: true,
    description: "May hold more, for people",
  }),
  workload: mapping("Default inputs; the start payload is merged over them"),
  workflow: Type.Array(step, { minItems: 1, description: "Steps; the first is named start" }),
  workbook: Type.Union([Type.Array(workbookEntry), Type.Record(Type.String(), Type.Unknown())], {
    description: "Tools by name, for kind workbook",
  }),
  keychain: Type.Union(
    [
      Type.Array(Type.Record(Type.String(), Type.Unknown())),
      Type.Record(Type.String(), Type.Unknown()),
    ],
    { description: "Credentials by name, resolved in executors only" },
  ),
  output: any("What the execution gives, a template; default the data of the last step"),
  timeout: number("Seconds, or a duration as 2h: the whole execution"),
  executor: ignored(
    "an execution begins at start, and where and how long work runs is said at the step or the worker",
  ),
};

/** The published schema. */
export const playbookSchema: TSchema = shape(rootKeys, {
  $id: "https://deed.dev/schema/playbook.json",
  title: "Playbook",
  description: "A playbook of noetl.io/v2 or deed/v1",
  required: ["apiVersion", "kind", "metadata", "workflow"],
  $defs: { ...toolDefinitions, arc },
});

/** What may stand in each place. */
export const knownKeys = {
  root: rootKeys,
  metadata: metadataKeys,
  step: stepKeys,
  stepSpec: stepSpecKeys,
  stepPolicy: stepPolicyKeys,
  admit: admitKeys,
  admitRule: admitRuleKeys,
  allow: allowKeys,
  tool: toolCommon,
  toolSpec: toolSpecKeys,
  taskPolicy: taskPolicyKeys,
  rule: ruleKeys,
  consequence: consequenceKeys,
  retry: retryKeys,
  next: routerKeys,
  nextSpec: nextSpecKeys,
  arc: arcKeys,
  loop: loopKeys,
  loopSpec: loopSpecKeys,
  frame: frameKeys,
  cursor: cursorKeys,
} as const satisfies { readonly [place: string]: Known };
