/**
 * The progress of an execution as lines for a terminal: a pure function of it, the size and the time.
 *
 *     ● finance/nightly  execution 1879048192  running            12.3 s
 *     ├ ✓ start  python                                           340 ms
 *     └ ● fetch  http  ████████░░░░░░░░ 20/40  4 running           3.2 s
 *        └ ○ item 7  attempt 2 in 1.5 s  unavailable: busy
 *
 * No line is wider than the view, and there are no more of them than it has rows.
 */
import { cells, cut, printable, spellMs, type Colour } from "../terminal.ts";
import type { Activation, Command, ExecutionProgress, Loop, Progress } from "./model.ts";

export type Span = { readonly text: string; readonly colour?: Colour };

export type Line = readonly Span[];

export type View = {
  /** Columns. */
  readonly width: number;
  /** Lines at most, >= 4. */
  readonly rowsMax: number;
  /** Milliseconds since the epoch: what still runs has run until now. */
  readonly nowMs: number;
};

type Row = {
  readonly spans: Line;
  readonly right: string;
  /** True where nothing will change in it: the first that is left out where there is no room. */
  readonly settled: boolean;
  readonly below: readonly Row[];
};

/** Beyond it, durations stand too far from what they are of. */
const widthMax = 110;

/** Items of one loop that are shown one by one. */
const itemsMax = 5;

/** Sub-playbooks of one loop that are shown. */
const childrenMax = 5;

const barCells = 16;

export function drawProgress(progress: Progress, view: View): readonly Line[] {
  const root = progress.executions.get(progress.root);
  if (root === undefined) return [];
  const width = Math.min(view.width, widthMax);
  const row = executionRow(progress, root, view.nowMs);
  return fit(flat(row, ["", ""]), view.rowsMax).map((line) => laid(line, width));
}

type Flat = Omit<Row, "below">;

/** @param indent of the row itself, and of those below it. */
function flat(row: Row, [own, under]: readonly [string, string]): readonly Flat[] {
  const spans: Line = own === "" ? row.spans : [{ text: own, colour: "grey" }, ...row.spans];
  const below = row.below.flatMap((one, index) => {
    const last = index === row.below.length - 1;
    return flat(one, [`${under}${last ? "└ " : "├ "}`, `${under}${last ? "  " : "│ "}`]);
  });
  return [{ ...row, spans }, ...below];
}

/** Leaves out what has ended, the oldest first; then what is in the middle. */
function fit(rows: readonly Flat[], rowsMax: number): readonly Flat[] {
  let over = rows.length - rowsMax + 1;
  if (over <= 1) return rows;
  const kept = rows.filter((row, index) => {
    if (index === 0 || over <= 0 || !row.settled) return true;
    over -= 1;
    return false;
  });
  const head = kept.slice(0, 1);
  const rest = kept.slice(1).slice(-(rowsMax - 2));
  const hidden = rows.length - head.length - rest.length;
  const more: Flat = {
    spans: [{ text: `… ${String(hidden)} more`, colour: "grey" }],
    right: "",
    settled: true,
  };
  return [...head, more, ...rest];
}

function laid({ spans, right }: Flat, width: number): Line {
  const room = width - (right === "" ? 0 : cells(right) + 2);
  const left: Span[] = [];
  let used = 0;
  for (const { text, ...rest } of spans) {
    if (used >= room) break;
    const shown = cut(text, room - used);
    used += cells(shown);
    left.push({ text: shown, ...rest });
  }
  if (right === "") return left;
  const gap = " ".repeat(Math.max(0, width - used - cells(right)));
  return [...left, { text: gap }, { text: right, colour: "grey" }];
}

const executionGlyphs: { readonly [S in ExecutionProgress["status"]]: Span } = {
  requested: { text: "○", colour: "yellow" },
  running: { text: "●", colour: "yellow" },
  paused: { text: "‖", colour: "yellow" },
  cancelling: { text: "●", colour: "yellow" },
  completed: { text: "✓", colour: "green" },
  failed: { text: "✗", colour: "red" },
  cancelled: { text: "■", colour: "grey" },
};

function executionRow(progress: Progress, execution: ExecutionProgress, nowMs: number): Row {
  const { id, playbook, status, requestedAtMs, endedAtMs, error } = execution;
  const isRoot = id === progress.root;
  return {
    spans: joined([
      [executionGlyphs[status]],
      [{ text: printable(playbook), colour: "bold" }],
      [{ text: itemText(execution), colour: "grey" }],
      isRoot ? [{ text: `execution ${id}`, colour: "grey" }] : [],
      status === "completed" ? [] : [{ text: status, ...colourOf(executionGlyphs[status]) }],
      error === undefined || error === "" || error === status ? [] : [{ text: printable(error) }],
    ]),
    right: spellMs((endedAtMs ?? nowMs) - requestedAtMs),
    settled: endedAtMs !== undefined,
    below: execution.activations.map((one) => activationRow(progress, one, nowMs)),
  };
}

/** Which item of a loop a sub-playbook is for. */
function itemText({ path }: ExecutionProgress): string {
  const item = /\[(.*)\]$/.exec(path.at(-1) ?? "")?.[1];
  return item === undefined ? "" : `item ${printable(item)}`;
}

const activationGlyphs: { readonly [S in Activation["status"]]: Span } = {
  running: { text: "●", colour: "yellow" },
  completed: { text: "✓", colour: "green" },
  failed: { text: "✗", colour: "red" },
  skipped: { text: "–", colour: "grey" },
  stopped: { text: "■", colour: "grey" },
};

const waiting: Span = { text: "○", colour: "yellow" };

function activationRow(progress: Progress, activation: Activation, nowMs: number): Row {
  const { step, number, status, enteredAtMs, endedAtMs, loop, attempts, error } = activation;
  const commands = [...activation.commands.values()];
  const [only] = loop === undefined ? commands : [];
  const waits = status === "running" && only !== undefined && isWaiting(only);
  const children = activation.children
    .flatMap((id) => progress.executions.get(id) ?? [])
    .filter((child) => loop === undefined || child.status !== "completed");
  return {
    spans: joined([
      [waits ? waiting : activationGlyphs[status]],
      [{ text: printable(step) + (number > 1 ? ` #${String(number)}` : "") }],
      [{ text: kindsText(activation, only), colour: "grey" }],
      loop === undefined ? [] : loopSpans(loop, endedAtMs !== undefined),
      only === undefined && loop === undefined && attempts > 1
        ? [{ text: `${String(attempts)} attempts` }]
        : [],
      only === undefined || status !== "running" ? [] : commandSpans(only, nowMs),
      status === "skipped" || status === "stopped" ? [{ text: status, colour: "grey" }] : [],
      error === undefined ? [] : [{ text: printable(error), colour: "red" }],
    ]),
    right: spellMs((endedAtMs ?? nowMs) - enteredAtMs),
    settled: endedAtMs !== undefined,
    below: [
      ...(loop === undefined ? [] : itemRows(commands, nowMs)),
      ...children.slice(0, childrenMax).map((child) => executionRow(progress, child, nowMs)),
      ...moreRow(children.length - childrenMax, "sub-playbooks"),
    ],
  };
}

/** Of a pipeline the task that it stands at, too. */
function kindsText({ step, kinds }: Activation, only: Command | undefined): string {
  const kind = only?.kind ?? kinds.join(", ");
  const task = only === undefined || only.task === step ? "" : `${printable(only.task)} `;
  return task + printable(kind);
}

function loopSpans({ total, open, done, failed }: Loop, ended: boolean): Line {
  const over = done + failed;
  const bar = total === undefined ? "" : barOf(over, total);
  const parts = [
    `${bar}${String(over)}${total === undefined ? "" : `/${String(total)}`}`,
    ...(open > 0 && !ended ? [`${String(open)} running`] : []),
  ];
  const left: Span = { text: parts.join("  ") };
  if (failed === 0) return [left];
  return [left, { text: `  ${String(failed)} failed`, colour: "red" }];
}

function barOf(over: number, total: number): string {
  const full = total === 0 ? barCells : Math.floor((over / total) * barCells);
  return `${"█".repeat(full)}${"░".repeat(barCells - full)} `;
}

/** Items that wait for something are told one by one: what runs is counted. */
function itemRows(commands: readonly Command[], nowMs: number): readonly Row[] {
  const waits = commands.filter(isWaiting);
  const rows = waits.slice(0, itemsMax).map((command) => ({
    spans: joined([
      [waiting],
      [{ text: `item ${printable(command.item)}` }],
      commandSpans(command, nowMs),
    ]),
    right: "",
    settled: false,
    below: [],
  }));
  return [...rows, ...moreRow(waits.length - itemsMax, "items wait")];
}

function moreRow(count: number, what: string): readonly Row[] {
  if (count <= 0) return [];
  const spans: Line = [{ text: `… ${String(count)} more ${what}`, colour: "grey" }];
  return [{ spans, right: "", settled: false, below: [] }];
}

function isWaiting({ state, kind }: Command): boolean {
  return state === "waits" || state === "retry" || (state === "running" && kind === "wait_for");
}

function commandSpans(command: Command, nowMs: number): Line {
  const { attempt, state, why, dueMs, about } = command;
  switch (state) {
    case "retry": {
      const inMs = Math.max(0, (dueMs ?? nowMs) - nowMs);
      const when: Span = {
        text: `attempt ${String(attempt + 1)} in ${spellMs(inMs)}`,
        colour: "yellow",
      };
      return why === "" ? [when] : [when, { text: `  ${printable(why)}` }];
    }
    case "waits":
      return [{ text: `waits for ${waitText(why, about)}`, colour: "yellow" }];
    case "asked":
    case "running":
    case "ended": {
      const parts = [
        ...(attempt > 1 ? [`attempt ${String(attempt)}`] : []),
        ...(about === "" ? [] : [`waits for ${printable(about)}`]),
        ...(state === "running" && why !== "" ? [printable(why)] : []),
      ];
      return parts.length === 0 ? [] : [{ text: parts.join("  ") }];
    }
  }
}

/** Why an action was deferred, in words. */
export function waitText(reason: string, about: string): string {
  const asked = about === "" ? "" : `: ${printable(about)}`;
  switch (reason) {
    case "approval":
      return `approval${asked}`;
    case "limit":
      return "room: others hold the limit";
    case "no_executor":
      return "an executor: none here serves this tool";
    default:
      return printable(reason);
  }
}

/** Parts with two spaces between; the glyph is nearer. */
function joined(parts: readonly Line[]): Line {
  const filled = parts.filter((part) => part.some(({ text }) => text !== ""));
  return filled.flatMap((part, index) => {
    if (index === 0) return part;
    return [{ text: index === 1 ? " " : "  " }, ...part];
  });
}

function colourOf({ colour }: Span): { readonly colour?: Colour } {
  return colour === undefined ? {} : { colour };
}
