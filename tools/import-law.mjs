// Checks `src` against architecture.mjs: who imports whom, what is private, which driver is known where.
//
//     node tools/import-law.mjs        every break of the law, and exit code 1 if there is one
import { cruise } from "dependency-cruiser";
import { drivers, rooms } from "../architecture.mjs";
import { root } from "./setup.mjs";

/** The law as rules of dependency-cruiser: each `comment` says what to do instead. */
export function lawRules() {
  const rules = [
    {
      name: "no-cycle",
      comment: "Two files that need each other are one thing, or hide a third.",
      severity: "error",
      from: {},
      to: { circular: true },
    },
    {
      name: "unknown-room",
      comment: "Every folder of src is a room in architecture.mjs.",
      severity: "error",
      from: {},
      to: { path: "^src/", pathNot: `^src/(${Object.keys(rooms).join("|")})/` },
    },
    {
      name: "declared-package",
      comment: "A package that is imported stands in package.json.",
      severity: "error",
      from: { path: "^src/", pathNot: testFiles },
      to: { dependencyTypes: ["npm-no-pkg", "npm-unknown", "npm-dev", "unknown"] },
    },
    {
      name: "tests-stay-outside",
      comment: "The program does not import its tests.",
      severity: "error",
      from: { path: "^src/", pathNot: testFiles },
      to: { path: `${testFiles}|^(test|sim|bench|tools)/` },
    },
  ];
  for (const [name, room] of Object.entries(rooms)) {
    const allowed = [name, ...room.mayImport].join("|");
    rules.push({
      name: `${name}-imports`,
      comment: `${name} may import: ${room.mayImport.join(", ") || "nothing"}.`,
      severity: "error",
      from: { path: `^src/${name}/`, pathNot: testFiles },
      to: { path: "^src/", pathNot: `^src/(${allowed})/` },
    });
    rules.push({
      name: `${name}-is-private-below`,
      comment: `src/${name}/*.ts is the front door; below it only ${room.port ? "app, which wires adapters, and " : ""}${name} itself may look.`,
      severity: "error",
      from: {
        path: "^src/",
        pathNot: `${testFiles}|^src/${name}/${room.port ? "|^src/app/" : ""}`,
      },
      to: { path: `^src/${name}/.+/` },
    });
    if (room.pure) {
      rules.push({
        name: `${name}-is-pure`,
        comment: `${name} is pure: no module of Node.`,
        severity: "error",
        from: { path: `^src/${name}/`, pathNot: testFiles },
        to: { dependencyTypes: ["core"] },
      });
    }
  }
  for (const [driver, folders] of Object.entries(drivers)) {
    const target = driver.startsWith("node:")
      ? { path: `^(node:)?${driver.slice("node:".length)}$`, dependencyTypes: ["core"] }
      : { path: `node_modules/${driver}/` };
    rules.push({
      name: `driver-${driver.replaceAll(/[^a-z0-9]+/g, "-")}`,
      comment: `${driver} is known to ${folders.join(", ")} only.`,
      severity: "error",
      from: { path: "^src/", pathNot: `${testFiles}|^(${folders.join("|")})(/|\\.)` },
      to: target,
    });
  }
  return rules;
}

const testFiles = "(\\.test|-contract)\\.ts$";

/**
 * @param {string} folder
 * @param {string} baseDir
 * @returns {Promise<string[]>} one line for each break of the law.
 */
export async function breaksOfTheLaw(folder = "src", baseDir = root) {
  const { output } = await cruise(
    [folder],
    {
      baseDir,
      validate: true,
      ruleSet: { forbidden: lawRules() },
      tsPreCompilationDeps: true,
      doNotFollow: { path: "node_modules" },
    },
    { extensions: [".ts"], conditionNames: ["import", "node"], exportsFields: ["exports"] },
  );
  const { violations, totalCruised } = output.summary;
  if (totalCruised === 0) return [`nothing was read in ${folder}`];
  const comments = new Map(lawRules().map(({ name, comment }) => [name, comment]));
  return violations.map(
    ({ rule, from, to }) => `${from} → ${to}: ${comments.get(rule.name) ?? rule.name}`,
  );
}

if (process.argv[1] === new URL(import.meta.url).pathname) {
  const breaks = await breaksOfTheLaw();
  for (const line of breaks) console.error(line);
  process.exitCode = breaks.length > 0 ? 1 : 0;
}
