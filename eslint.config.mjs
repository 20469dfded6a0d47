// Style rules that a machine can hold; the rest is in CONTRIBUTING.md.
import tseslint from "typescript-eslint";
import { rooms } from "./architecture.mjs";
import { ownLines } from "./tools/own-lines.mjs";

const pureFolders = Object.entries(rooms)
  .filter(([, room]) => room.pure)
  .map(([name]) => `src/${name}/**/*.ts`);

const impure = [
  {
    selector: "CallExpression[callee.object.name='Date'][callee.property.name='now']",
    message: "A pure room takes time as an input.",
  },
  {
    selector: "NewExpression[callee.name='Date'][arguments.length=0]",
    message: "A pure room takes time as an input.",
  },
  {
    selector: "MemberExpression[object.name='Math'][property.name='random']",
    message: "A pure room has no randomness: use base/random with a seed.",
  },
  {
    selector: "MemberExpression[property.name=/^(localeCompare|toLocale.*)$/]",
    message: "The locale is an input that nobody recorded.",
  },
];

const always = [
  { selector: "TSEnumDeclaration", message: "Use a union of literals." },
  { selector: "ExportDefaultDeclaration", message: "Exports have names." },
];

export default tseslint.config(
  { ignores: ["dist/", "node_modules/", "coverage/", "examples/**/data/"] },
  {
    files: ["**/*.ts"],
    extends: [tseslint.configs.strictTypeChecked],
    plugins: { deed: { rules: { "own-lines": ownLines } } },
    languageOptions: {
      parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname },
    },
    rules: {
      "max-lines": ["error", { max: 400, skipBlankLines: true, skipComments: true }],
      "deed/own-lines": ["error", 70],
      "max-params": ["error", 3],
      "no-restricted-syntax": ["error", ...always],
      "@typescript-eslint/switch-exhaustiveness-check": [
        "error",
        { considerDefaultExhaustiveForUnions: true },
      ],
      "@typescript-eslint/consistent-type-definitions": ["error", "type"],
      "@typescript-eslint/consistent-type-imports": "error",
      "@typescript-eslint/no-confusing-void-expression": ["error", { ignoreArrowShorthand: true }],
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: false }],
      "@typescript-eslint/no-unnecessary-condition": [
        "error",
        { allowConstantLoopConditions: true },
      ],
      "@typescript-eslint/no-unnecessary-type-parameters": "off",
    },
  },
  {
    files: pureFolders,
    ignores: ["**/*.test.ts"],
    rules: {
      "no-restricted-syntax": ["error", ...always, ...impure],
      "no-restricted-globals": [
        "error",
        "process",
        "fetch",
        "console",
        "setTimeout",
        "setInterval",
        "setImmediate",
        "Intl",
        "Buffer",
      ],
    },
  },
  { files: ["*.config.ts"], rules: { "no-restricted-syntax": "off" } },
  {
    files: ["**/*.test.ts", "**/*-contract.ts", "test/**/*.ts", "sim/**/*.ts", "bench/**/*.ts"],
    rules: {
      "deed/own-lines": "off",
      "max-params": "off",
      "@typescript-eslint/no-non-null-assertion": "off",
    },
  },
);
