/** Where in an SQL text the code stands: literals, quoted names and comments are told apart from it. */

export type Piece = {
  readonly kind: "word" | "quoted" | "comment" | "other";
  /** Characters of the text, `to` not included. */
  readonly from: number;
  readonly to: number;
};

const word = /[\p{L}_][\p{L}\p{N}_$]*/uy;

/** What begins no literal, comment, word, placeholder or end of a statement. */
const plain = /[^\p{L}_'"$\-/:%;]+/uy;

const dollarTag = /\$(?:[\p{L}_][\p{L}\p{N}_]*)?\$/uy;

/** The whole text in pieces. What is left open goes on to the end: the database says what is wrong with it. */
export function* piecesOf(sql: string): Generator<Piece> {
  for (let from = 0; from < sql.length;) {
    const piece = pieceAt(sql, from);
    yield piece;
    from = piece.to;
  }
}

function pieceAt(sql: string, from: number): Piece {
  const two = sql.slice(from, from + 2);
  const first = two.charAt(0);
  if (two === "--") return { kind: "comment", from, to: after(sql, "\n", from) };
  if (two === "/*") return { kind: "comment", from, to: endOfComment(sql, from) };
  if (two === "E'" || two === "e'")
    return { kind: "quoted", from, to: endOfEscaped(sql, from + 2) };
  if (first === "'" || first === '"') return { kind: "quoted", from, to: endOfQuoted(sql, from) };
  const tag = matched(dollarTag, sql, from);
  if (tag !== "") return { kind: "quoted", from, to: after(sql, tag, from + tag.length) };
  const name = matched(word, sql, from);
  if (name !== "") return { kind: "word", from, to: from + name.length };
  return { kind: "other", from, to: from + (matched(plain, sql, from).length || 1) };
}

function matched(pattern: RegExp, sql: string, from: number): string {
  pattern.lastIndex = from;
  return pattern.exec(sql)?.[0] ?? "";
}

function after(sql: string, end: string, from: number): number {
  const at = sql.indexOf(end, from);
  return at < 0 ? sql.length : at + end.length;
}

function endOfQuoted(sql: string, from: number): number {
  const quote = sql.charAt(from);
  let at = from;
  do at = after(sql, quote, at + 1);
  while (sql.charAt(at) === quote);
  return at;
}

function endOfEscaped(sql: string, from: number): number {
  for (let at = from; at < sql.length; at += 1) {
    if (sql.charAt(at) === "\\") at += 1;
    else if (sql.charAt(at) === "'") {
      if (sql.charAt(at + 1) !== "'") return at + 1;
      at += 1;
    }
  }
  return sql.length;
}

/** Comments of PostgreSQL nest. */
function endOfComment(sql: string, from: number): number {
  const mark = /\/\*|\*\//g;
  mark.lastIndex = from + 2;
  let depth = 1;
  for (let found = mark.exec(sql); found !== null; found = mark.exec(sql)) {
    depth += found[0] === "/*" ? 1 : -1;
    if (depth === 0) return mark.lastIndex;
  }
  return sql.length;
}

/** The first word of each statement in lower case: what kind of statement it is. */
export function firstWords(sql: string): readonly string[] {
  const words: string[] = [];
  let begun = false;
  for (const { kind, from, to } of piecesOf(sql)) {
    if (sql.charAt(from) === ";") begun = false;
    else if (kind === "word" && !begun) {
      words.push(sql.slice(from, to).toLowerCase());
      begun = true;
    } else if (kind === "quoted") begun = true;
  }
  return words;
}
