/** The engine of the scripted world: see `../scripted-world.ts`. */
import { isJsonObject, type Json } from "../../base/json.ts";
import { seededRandom, type Random } from "../../base/random.ts";
import { timestamp } from "../../base/clock.ts";
import type { CoreEvent } from "../../event/core-event.ts";
import { deedError, type DeedError } from "../../event/error.ts";
import type {
  CancelCommand,
  Completion,
  Decision,
  DecisionEvent,
  RecordedAt,
  RequestCommand,
} from "../decision.ts";
import { coreEventOfDecision } from "../decision.ts";
import { decide } from "../evaluate.ts";
import { executionId } from "../../event/ids.ts";
import type { Program } from "../program.ts";
import { due, evolve, hasEnded, initialState, type WorkflowState } from "../state.ts";
import { dataOf } from "../state/fold-decision.ts";
import { activationKey } from "../state/live.ts";
import { Coming, type Scheduled } from "./coming.ts";
import { eventAt, placed, type Written } from "./events.ts";
import type {
  Asked,
  Ending,
  ExecutionRun,
  ScriptedOutcome,
  WorldOptions,
  WorldRun,
} from "./model.ts";

/** 2026-01-01T00:00:00Z. */
const startDefaultMs = 1_767_225_600_000;

const eventsDefault = 1_000_000;

const durationDefaultMs = 10;

/** An execution while it runs. */
type Execution = {
  readonly id: string;
  readonly program: Program;
  readonly state: WorkflowState;
  readonly history: CoreEvent[];
  readonly commands: RequestCommand[];
  readonly data: Map<string, Json>;
  /** Who waits for its end, and where. */
  readonly parent?: { readonly execution: Execution; readonly command: RequestCommand };
  completion?: Completion;
};

/** What was asked of a tool, or of a child, and is not answered. */
type Open = { readonly cancel: () => void };

export class World {
  private readonly options: WorldOptions;
  /** All that were begun, in that order. */
  private readonly executions: Execution[] = [];
  private readonly coming: Coming;
  private readonly random: Random | undefined;
  private readonly open = new Map<string, Open>();
  /** Executions with something to decide, in the order in which it came up. */
  private readonly busy: Execution[] = [];
  private asked: { readonly execution: Execution; readonly command: RequestCommand } | undefined;
  private nowMs: number;
  private events = 0;
  private readonly main: Execution;
  private readonly running = new Set<Execution>();

  constructor(options: WorldOptions) {
    this.options = options;
    this.nowMs = options.startMs ?? startDefaultMs;
    this.random = options.seed === undefined ? undefined : seededRandom(options.seed);
    this.coming = new Coming(this.random);
    const { payload = {}, env = {}, inputs = [] } = options;
    this.main = this.begin({ id: options.executionId ?? "1000001", program: options.program });
    this.record(this.main, { type: "execution.requested", context: { payload, env } });
    for (const { afterMs, type, reason } of inputs) {
      const context = reason === undefined ? {} : { context: { reason } };
      this.coming.add(this.nowMs + afterMs, () => this.record(this.main, { type, ...context }));
    }
  }

  /** Goes on until a tool is asked for. Undefined: until the end. */
  next(): Asked | undefined {
    for (;;) {
      const execution = this.busy[0];
      if (this.events >= (this.options.eventsMax ?? eventsDefault)) return undefined;
      if (execution === undefined) {
        if (hasEnded(this.main.state) || !this.advance()) return undefined;
        continue;
      }
      const decision = decide(execution.state, execution.program);
      if (decision.events.length === 0 && decision.commands.length === 0) {
        this.busy.shift();
        this.settled(execution, decision);
        continue;
      }
      for (const event of decision.events) this.decided(execution, event);
      for (const command of decision.commands) {
        if (command.do === "cancel") this.cancel(execution, command);
        else if (this.request(execution, command)) {
          this.asked = { execution, command };
          const { id, program } = execution;
          return { command, executionId: id, program, nowMs: this.nowMs };
        }
      }
    }
  }

  /** Says what the tool does that was asked for last. */
  answer(outcome: ScriptedOutcome): void {
    if (this.asked === undefined) throw new RangeError("Cannot answer as nothing is asked");
    const { execution, command } = this.asked;
    this.asked = undefined;
    const { afterMs, written } = this.written(outcome, command.timeoutMs);
    const give = (what: Written): void => {
      this.open.delete(command.key);
      this.record(execution, placed(what, command.place));
    };
    const scheduled: Scheduled | undefined =
      written === undefined
        ? undefined
        : this.coming.add(this.nowMs + afterMs, () => give(written));
    const cancel = (): void => {
      if (outcome.cancel === "ignored") return;
      this.coming.drop(scheduled);
      this.coming.add(this.nowMs + this.duration(1), () => give({ type: "action.cancelled" }));
    };
    this.open.set(command.key, { cancel });
  }

  run(): WorldRun {
    const runs = this.executions.map(runOf);
    const [main, ...children] = runs;
    if (main === undefined) throw new RangeError("Cannot run a world without an execution");
    return { ending: this.ending(), main, children };
  }

  private ending(): Ending {
    const { status, paused } = this.main.state;
    switch (status) {
      case "completed":
      case "failed":
      case "cancelled":
        return status;
      case "new":
      case "running": {
        if (this.busy.length > 0 || this.coming.size > 0) return "unbounded";
        return this.open.size > 0 || paused ? "waiting" : "stuck";
      }
    }
  }

  private written(
    outcome: ScriptedOutcome,
    timeoutMs = Infinity,
  ): { readonly afterMs: number; readonly written?: Written } {
    const takenMs =
      outcome.does === "hang" ? Infinity : (outcome.afterMs ?? this.duration(durationDefaultMs));
    if (takenMs > timeoutMs) {
      const message = `The tool did not answer within ${String(timeoutMs)} ms`;
      return { afterMs: timeoutMs, written: failure(deedError("timeout", message)) };
    }
    switch (outcome.does) {
      case "succeed":
        return { afterMs: takenMs, written: { type: "action.succeeded", result: outcome.result } };
      case "fail":
        return { afterMs: takenMs, written: failure(outcome.error) };
      case "hang":
        return { afterMs: takenMs };
    }
  }

  private duration(defaultMs: number): number {
    return this.random === undefined ? defaultMs : 1 + Math.floor(this.random() * 1_000);
  }

  private begin(of: Pick<Execution, "id" | "program" | "parent">): Execution {
    const execution = {
      ...of,
      state: initialState(of.id),
      history: [],
      commands: [],
      data: new Map<string, Json>(),
    };
    this.executions.push(execution);
    this.running.add(execution);
    return execution;
  }

  /** Moves the clock to what comes next. False: nothing comes. */
  private advance(): boolean {
    let timer:
      { readonly execution: Execution; readonly name: string; readonly dueMs: number } | undefined;
    for (const execution of this.running) {
      for (const { name, dueMs } of due(execution.state)) {
        if (timer === undefined || dueMs < timer.dueMs) timer = { execution, name, dueMs };
      }
    }
    const next = this.coming.first();
    if (timer !== undefined && (next === undefined || timer.dueMs < next.atMs)) {
      this.nowMs = Math.max(this.nowMs, timer.dueMs);
      this.record(timer.execution, { type: "timer.fired", context: { name: timer.name } });
      return true;
    }
    if (next === undefined) return false;
    this.coming.take();
    this.nowMs = Math.max(this.nowMs, next.atMs);
    next.happens();
    return true;
  }

  /** Writes an event down, and folds it. */
  private record(execution: Execution, written: Written): void {
    this.fold(execution, eventAt(written, this.at(execution)));
  }

  private fold(execution: Execution, event: CoreEvent): void {
    execution.history.push(event);
    evolve(execution.state, event, execution.program);
    if (!this.busy.includes(execution)) this.busy.push(execution);
  }

  private at({ id }: Execution): RecordedAt {
    this.events += 1;
    return { eventId: String(this.events), executionId: id, timestamp: timestamp(this.nowMs) };
  }

  private decided(execution: Execution, decision: DecisionEvent): void {
    if (decision.type === "step.completed") {
      const { step, activation: number, data } = decision;
      const activation = execution.state.live.get(activationKey(step, number));
      if (data !== undefined) execution.data.set(step, data);
      else if (activation !== undefined) {
        execution.data.set(step, dataOf(activation, execution.program.strict));
      }
    }
    this.fold(execution, coreEventOfDecision(decision, this.at(execution)));
  }

  /** @returns true where a tool is to be asked; a child has begun by itself. */
  private request(execution: Execution, command: RequestCommand): boolean {
    const { kind, args, place, key } = command;
    execution.commands.push(command);
    this.record(
      execution,
      placed({ type: "action.requested", context: { command: kind, args } }, place),
    );
    const path = kind === "playbook" ? args["path"] : undefined;
    const program = typeof path === "string" ? this.options.children?.get(path) : undefined;
    if (program === undefined) return true;
    const payload = isJsonObject(args["input"]) ? args["input"] : {};
    const id = String(BigInt(this.main.id) + BigInt(this.executions.length));
    const child = this.begin({ id, program, parent: { execution, command } });
    const told: Written = { type: "execution.cancel_requested", context: { reason: "parent" } };
    this.open.set(key, {
      cancel: () => this.coming.add(this.nowMs, () => this.record(child, told)),
    });
    const { env = {} } = this.options;
    this.record(child, { type: "execution.requested", context: { payload, env } });
    return false;
  }

  private cancel(execution: Execution, { place, key, reason }: CancelCommand): void {
    const asked: Written = { type: "action.cancel_requested", context: { reason } };
    this.record(execution, placed(asked, place));
    this.open.get(key)?.cancel();
  }

  /** Nothing more to decide: where it has ended, whoever waits for it is told. */
  private settled(execution: Execution, { completion }: Decision): void {
    if (completion === undefined || execution.completion !== undefined) return;
    execution.completion = completion;
    this.running.delete(execution);
    const { parent, history } = execution;
    const terminal = history.findLast(({ event_type }) => event_type.startsWith("execution."));
    if (parent === undefined || terminal === undefined) return;
    const { event_type: type, context } = terminal;
    const result = resultFor(parent.command, execution, completion);
    const told = { type, result, ...(context === undefined ? {} : { context }) };
    this.coming.add(this.nowMs, () => {
      this.open.delete(parent.command.key);
      const at = { ...this.at(parent.execution), executionId: execution.id };
      const event = eventAt(placed(told, parent.command.place), at);
      this.fold(parent.execution, {
        ...event,
        parent_execution_id: executionId(parent.execution.id),
      });
    });
  }
}

/** What a child gives: the data of the step that the command names, else its own result. */
function resultFor({ args }: RequestCommand, { data }: Execution, { result }: Completion): Json {
  const step = args["return_step"];
  return (typeof step === "string" ? data.get(step) : undefined) ?? result;
}

function failure(error: DeedError): Written {
  return { type: "action.failed", context: { error } };
}

function runOf(execution: Execution): ExecutionRun {
  const { id, program, history, commands, data, state, completion } = execution;
  return {
    executionId: id,
    program,
    history,
    commands,
    data,
    state,
    ...(completion === undefined ? {} : { completion }),
  };
}
