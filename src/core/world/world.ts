/** The engine of the scripted world: see `../scripted-world.ts`. */
import { isJsonObject, type Json, type JsonObject } from "../../base/json.ts";
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
  readonly parent?: Parent;
  completion?: Completion;
};

type Parent = { readonly execution: Execution; readonly command: RequestCommand };

/** What was asked of a tool, or of a child, and is not answered. */
type Open = { readonly cancel: () => void; readonly child?: true };

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
    const { kind, args, place } = command;
    execution.commands.push(command);
    const path = kind === "playbook" ? args["path"] : undefined;
    const program = typeof path === "string" ? this.options.children?.get(path) : undefined;
    if (program !== undefined) {
      this.beginChild({ execution, command }, program);
      return false;
    }
    const context = { command: kind, args };
    this.record(execution, placed({ type: "action.requested", context }, place));
    return true;
  }

  /** What is asked of a child is one event: the first of its own history, and the command in its parent's. */
  private beginChild(parent: Parent, program: Program): void {
    const { args, place, key } = parent.command;
    const id = String(BigInt(this.main.id) + BigInt(this.executions.length));
    const child = this.begin({ id, program, parent });
    const tell = (type: string, context: JsonObject): void => {
      this.recordForBoth(child, placed({ type, context }, place));
    };
    this.open.set(key, {
      child: true,
      cancel: () => {
        tell("execution.cancel_requested", { reason: "parent" });
      },
    });
    const { env = {} } = this.options;
    const payload = isJsonObject(args["input"]) ? args["input"] : {};
    const { return_step: step } = args;
    const returns = typeof step === "string" ? { return_step: step } : {};
    tell("execution.requested", { payload, env, ...returns });
  }

  private recordForBoth(child: Execution, written: Written): void {
    const event = eventAt(written, this.at(child));
    const { parent } = child;
    if (parent === undefined) this.fold(child, event);
    else {
      const of = { ...event, parent_execution_id: executionId(parent.execution.id) };
      this.fold(child, of);
      this.fold(parent.execution, of);
    }
  }

  private cancel(execution: Execution, { place, key, reason }: CancelCommand): void {
    const open = this.open.get(key);
    if (open?.child !== true) {
      const asked: Written = { type: "action.cancel_requested", context: { reason } };
      this.record(execution, placed(asked, place));
    }
    open?.cancel();
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
    const told = { type, result: completion.result, ...(context === undefined ? {} : { context }) };
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
