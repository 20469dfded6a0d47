/** What is wrong in templates: syntax, names that nobody knows, conditions that cannot hold. */
import { nearest } from "../../base/nearest.ts";
import type { Playbook } from "../playbook.ts";
import { compileCondition, compileTemplate } from "../template.ts";
import type { Node } from "../template/syntax.ts";
import { literalProblems, outcomeOf, type Literal } from "./condition.ts";
import { bareNames, expressionsOf, keyOf, partsOf } from "./expression.ts";
import type { Tell } from "./lint-graph.ts";
import { sitesOf, type Site } from "./sites.ts";

/** Names that every template knows. Source: playbooks, "What a template sees". */
const everywhere = [
  ...["workload", "ctx", "iter", "output", "event", "execution_id", "job", "payload", "input"],
  ...["env", "loop_index", "_attempt", "now"],
];

/** Names of the origin's older words, and what to write. */
const olderNames: ReadonlyMap<string, string> = new Map([
  ["outcome", "output"],
  ["result", "output.data"],
  ["response", "output.data"],
  ["error", "output.error"],
  ["_prev", "output.data"],
  ["vars", "ctx"],
  ["args", "payload"],
  ["secret", "keychain"],
]);

export function lintTemplates(playbook: Playbook, tell: Tell): void {
  const strict = playbook.apiVersion === "deed/v1";
  const known = new Set([
    ...everywhere,
    ...Object.keys(playbook.workload),
    ...playbook.steps.map(({ name }) => name),
  ]);
  for (const site of sitesOf(playbook)) lintSite(site, { known, strict, tell });
}

type Around = {
  readonly known: ReadonlySet<string>;
  readonly strict: boolean;
  readonly tell: Tell;
};

function lintSite(site: Site, around: Around): void {
  const { path, source, isCondition } = site;
  const mode = around.strict ? "strict" : "lenient";
  const compiled = isCondition ? compileCondition(source, mode) : compileTemplate(source, mode);
  if (!compiled.ok) {
    const { message, at } = compiled.error;
    const help = "correct the template there";
    around.tell({ code: "template-syntax", path, within: at, message, help });
    return;
  }
  const nodes = expressionsOf(source, isCondition);
  lintNames(site, nodes, { ...around, roots: compiled.value.roots });
  lintStoreKeys(site, nodes, around);
  lintWords(site, nodes, around);
}

function lintNames(
  { path, names, missing }: Site,
  nodes: readonly Node[],
  { known, tell, roots }: Around & { readonly roots: ReadonlySet<string> },
): void {
  for (const [name, within] of bareNames(nodes)) {
    if (!roots.has(name) || names.has(name)) continue;
    if (missing.includes(name)) {
      tell({
        code: "unknown-root",
        path,
        within,
        message: `"${name}" stands for nothing here`,
        help: "read it where it is known: see the names that a template sees",
      });
      continue;
    }
    if (known.has(name)) continue;
    if (name === "keychain") {
      tell({
        code: "unknown-root",
        path,
        within,
        message: '"keychain" is known to the input and the members of a tool only',
        help: "use it there: credentials are resolved where the tool runs",
      });
      continue;
    }
    const near = olderNames.get(name) ?? nearest(name, [...known, ...names]);
    const hint = near === undefined ? "" : `did you mean "${near}"? Else `;
    tell({
      code: "unknown-root",
      path,
      within,
      message: `no step, value or item here has the name "${name}"`,
      help: `${hint}declare it under workload, or give it a way out: ${name} | default(…)`,
    });
  }
}

/** Members that the origin's object store adds to data. */
function lintStoreKeys({ path }: Site, nodes: readonly Node[], { tell }: Around): void {
  const visit = (node: Node): void => {
    const key = keyOf(node);
    if (key === "_ref" || key === "_store") {
      tell({
        code: "not-run",
        path,
        within: node.at,
        message: `"${key}" of the origin's object store is read, but not run: it is never there`,
        help: "read the data itself: a large one travels by reference on its own",
      });
    }
    for (const part of partsOf(node)) visit(part);
  };
  for (const node of nodes) visit(node);
}

function lintWords(site: Site, nodes: readonly Node[], { strict, tell }: Around): void {
  const { path, facts, isCondition, decides = "this" } = site;
  const literals = literalProblems(nodes, { facts, strict });
  const [expression] = nodes;
  const never =
    isCondition && expression !== undefined
      ? outcomeOf(expression, { facts, strict }) === "never"
      : false;
  if (!never) {
    for (const literal of literals) tell(told(literal, path));
    return;
  }
  const reason = literals.find(({ code }) => code === "never-equal");
  tell({
    code: "never-holds",
    path,
    within: reason?.at ?? expression?.at ?? 0,
    message: `${decides} can never be chosen: ${reason?.message ?? "its condition is always false"}`,
    help: reason?.help ?? "drop it, or correct the condition",
  });
}

function told({ code, at, message, help }: Literal, path: Site["path"]): Parameters<Tell>[0] {
  return { code, path, within: at, message, help };
}
