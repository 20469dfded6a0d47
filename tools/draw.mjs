// Draws architecture.mjs into docs/architecture.md, between the two marks.
//
//     node tools/draw.mjs            writes it
//     node tools/draw.mjs --check    exit code 1 where the page is behind the table
import { readFileSync, writeFileSync } from "node:fs";
import { rooms } from "../architecture.mjs";
import { root } from "./setup.mjs";

const page = `${root}docs/architecture.md`;
const marks = ["<!-- drawn from architecture.mjs -->", "<!-- end of the drawing -->"];

const text = readFileSync(page, "utf8");
const [before, rest] = split(text, marks[0]);
const [, after] = split(rest, marks[1]);
const drawn = `${before}${marks[0]}\n\n${drawing()}\n\n${marks[1]}${after}`;
if (process.argv.includes("--check")) {
  if (drawn !== text) {
    console.error("docs/architecture.md is behind architecture.mjs: run node tools/draw.mjs");
    process.exitCode = 1;
  }
} else writeFileSync(page, drawn);

function split(whole, mark) {
  const at = whole.indexOf(mark);
  if (at < 0) throw new Error(`docs/architecture.md lacks ${mark}`);
  return [whole.slice(0, at), whole.slice(at + mark.length)];
}

function drawing() {
  const kinds = [
    ["pure", "no clock, no randomness, no I/O", ([, room]) => room.pure === true],
    ["ports", "the port on top, one adapter a folder", ([, room]) => room.port === true],
    ["around", "what drives, serves and wires", ([, room]) => !room.pure && !room.port],
  ];
  const lines = ["```mermaid", "flowchart BT"];
  for (const [kind, what, belongs] of kinds) {
    lines.push(`  subgraph ${kind}["${kind}: ${what}"]`);
    for (const [name] of Object.entries(rooms).filter(belongs)) lines.push(`    ${name}`);
    lines.push("  end");
  }
  for (const [name, room] of Object.entries(rooms)) {
    for (const other of direct(name, room.mayImport)) lines.push(`  ${name} --> ${other}`);
  }
  lines.push(
    "```",
    "",
    "An arrow says _may import_; what follows from another arrow is left out.",
    "",
  );
  const rows = Object.entries(rooms).map(([name, room]) => [
    `\`${name}\``,
    room.is,
    room.mayImport.length === 0 ? "nothing" : room.mayImport.join(", "),
  ]);
  const head = ["room", "what it is", "may import"];
  const widths = head.map((title, at) =>
    Math.max(...[head, ...rows].map((row) => row[at].length), title.length),
  );
  const line = (row) => `| ${row.map((cell, at) => cell.padEnd(widths[at])).join(" | ")} |`;
  lines.push(
    line(head),
    `| ${widths.map((width) => "-".repeat(width)).join(" | ")} |`,
    ...rows.map(line),
  );
  return lines.join("\n");
}

/** Leaves out what another import of the same room already brings. */
function direct(name, imports) {
  return imports.filter(
    (one) => !imports.some((other) => other !== one && rooms[other].mayImport.includes(one)),
  );
}
