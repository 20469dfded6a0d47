// ESLint rule: how long a function is by itself. Functions that stand inside it count for themselves, so a
// factory that gives back a handful of closures is as long as the lines that are its own.
const functions = "FunctionDeclaration, FunctionExpression, ArrowFunctionExpression";

export const ownLines = {
  meta: {
    type: "suggestion",
    schema: [{ type: "integer", minimum: 1 }],
    messages: { long: "This function has {{lines}} lines of its own: at most {{max}}." },
  },
  create(context) {
    const [max] = context.options;
    const { sourceCode } = context;
    const stack = [];
    return {
      [functions]: (node) => void stack.push({ node, inner: new Set() }),
      [`:matches(${functions}):exit`]: () => {
        const { node, inner } = stack.pop();
        const lines = [];
        for (let line = node.loc.start.line; line <= node.loc.end.line; line += 1) {
          if (codeLines(sourceCode).has(line)) lines.push(line);
        }
        const own = lines.filter((line) => !inner.has(line)).length;
        if (own > max) context.report({ node, messageId: "long", data: { lines: own, max } });
        // Its first and last line stay with the one around it.
        for (let line = node.loc.start.line + 1; line < node.loc.end.line; line += 1) {
          stack.at(-1)?.inner.add(line);
        }
        for (const line of inner) stack.at(-1)?.inner.add(line);
      },
    };
  },
};

const codeLinesOf = new WeakMap();

/** The lines that hold a token: no blank ones, no comments. */
function codeLines(sourceCode) {
  let lines = codeLinesOf.get(sourceCode);
  if (lines === undefined) {
    lines = new Set();
    for (const { loc } of sourceCode.ast.tokens) {
      for (let line = loc.start.line; line <= loc.end.line; line += 1) lines.add(line);
    }
    codeLinesOf.set(sourceCode, lines);
  }
  return lines;
}
