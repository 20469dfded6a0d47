/**
 * Plays a playbook in a few lines: a terse notation for its model, tools that answer as the test says, a clock
 * that only moves where the test moves it.
 *
 * Whatever is played is proved on the way (`proved`): driven event by event, whole, one decision at a time as a
 * kernel does it, from its full history, and through a snapshot at every event, it gives the same bytes.
 */
import { expect } from "vitest";
import { canonicalJson } from "../../src/base/canonical-json.ts";
import { timestamp } from "../../src/base/clock.ts";
import type { Json, JsonObject } from "../../src/base/json.ts";
import type { Command, Decision, DecisionEvent, Place } from "../../src/core/decision.ts";
import { coreEventOfDecision } from "../../src/core/decision.ts";
import { decide, drive, evaluate } from "../../src/core/evaluate.ts";
import type { Playbook } from "../../src/core/playbook.ts";
import { compileProgram, type Program } from "../../src/core/program.ts";
import {
  decodeState,
  encodeState,
  evolve,
  initialState,
  type WorkflowState,
} from "../../src/core/state.ts";
import type { CoreEvent } from "../../src/event/core-event.ts";
import { deedError, type DeedError } from "../../src/event/error.ts";
import { eventId, executionId } from "../../src/event/ids.ts";

export type Answer = { readonly ok: Json } | { readonly error: DeedError } | "open";

/** What a tool answers to a command; `"open"` leaves it running. */
export type Tools = (command: Requested) => Answer;

export type Requested = Extract<Command, { do: "request" }>;

export const failure = (message = "it broke", over: Partial<DeedError> = {}): Answer => ({
  error: { ...deedError("executor_error", message), ...over },
});

/** Answers `{from: <step>}`, or what stands under the step's or the task's name. */
export function answers(given: { readonly [name: string]: Answer | Answer[] | Tools } = {}): Tools {
  return (command) => {
    const { step, task, attempt } = command.place;
    const found = given[task] ?? given[step];
    if (found === undefined) return { ok: { from: step } };
    if (typeof found === "function") return found(command);
    if (Array.isArray(found)) return found[Math.min(attempt, found.length) - 1]!;
    return found;
  };
}

export type Logged =
  | { readonly is: "event"; readonly event: DecisionEvent }
  | { readonly is: "command"; readonly command: Command };

export class Play {
  readonly program: Program;
  state: WorkflowState;
  readonly commands: Requested[] = [];
  readonly cancels: string[] = [];
  readonly events: DecisionEvent[] = [];
  last: Decision | undefined;
  nowMs = Date.UTC(2026, 0, 1);
  private readonly inputs: CoreEvent[] = [];
  private readonly decisions: Decision[] = [];
  private readonly open: Requested[] = [];
  private eventCount = 0;
  private readonly tools: Tools;

  constructor(playbook: Playbook, tools: Tools = answers()) {
    const compiled = compileProgram(playbook);
    if (!compiled.ok) throw new Error(JSON.stringify(compiled.error, null, 1));
    this.program = compiled.value;
    this.state = initialState("e1");
    this.tools = tools;
  }

  start(payload: JsonObject = {}, env: JsonObject = {}): this {
    return this.input("execution.requested", { context: { payload, env } });
  }

  /** Starts, answers commands in the order they were asked for, and lets timers fire when nothing else is left. */
  run(payload: JsonObject = {}): this {
    this.start(payload);
    return this.goOn();
  }

  goOn(): this {
    for (let turn = 0; turn < 100_000; turn += 1) {
      if (this.step()) continue;
      const [timer] = [...(this.last?.timers ?? [])].sort((a, b) => a.dueMs - b.dueMs);
      if (timer === undefined || this.open.some((one) => this.tools(one) === "open")) break;
      this.fire(timer.name);
    }
    return this;
  }

  /** Answers the oldest command that its tool has an answer for. */
  step(): boolean {
    const at = this.open.findIndex((command) => this.tools(command) !== "open");
    const command = this.open[at];
    if (command === undefined) return false;
    const answer = this.tools(command);
    if (answer !== "open") this.answer(command.key, answer);
    return true;
  }

  answer(key: string, answer: Exclude<Answer, "open">): this {
    const at = this.open.findIndex((command) => command.key === key);
    if (at < 0) throw new Error(`no open command ${key}: ${this.openKeys().join(", ")}`);
    const [command] = this.open.splice(at, 1);
    return this.answered(command!.place, answer);
  }

  answered(place: Place, answer: Exclude<Answer, "open">): this {
    return "ok" in answer
      ? this.input("action.succeeded", { ...at(place), result: answer.ok })
      : this.input("action.failed", { ...at(place), context: { error: answer.error } });
  }

  cancelled(key: string): this {
    const at0 = this.open.findIndex((command) => command.key === key);
    const [command] = this.open.splice(at0, 1);
    return this.input("action.cancelled", at(command!.place));
  }

  /** Moves the clock to a timer and lets it fire. */
  fire(name: string): this {
    const timer = this.last?.timers.find((one) => one.name === name);
    if (timer === undefined)
      throw new Error(`no timer ${name}: ${JSON.stringify(this.last?.timers)}`);
    this.nowMs = Math.max(this.nowMs, timer.dueMs);
    return this.input("timer.fired", { context: { name, due_ms: timer.dueMs } });
  }

  input(event_type: string, over: Partial<CoreEvent> = {}): this {
    this.eventCount += 1;
    return this.inject({
      event_id: eventId(String(this.eventCount)),
      execution_id: executionId("e1"),
      event_type,
      status: event_type.slice(event_type.lastIndexOf(".") + 1).toUpperCase(),
      timestamp: timestamp(this.nowMs),
      ...over,
    });
  }

  inject(event: CoreEvent): this {
    this.inputs.push(event);
    const { decision } = drive(this.state, [event], this.program);
    this.decisions.push(decision);
    this.last = decision;
    for (const event of decision.events) this.events.push(event);
    for (const command of decision.commands) {
      if (command.do === "cancel") this.cancels.push(command.key);
      else {
        this.commands.push(command);
        this.open.push(command);
      }
    }
    return this;
  }

  keys(): string[] {
    return this.commands.map(({ key }) => key.slice("e1/".length));
  }

  openKeys(): string[] {
    return this.open.map(({ key }) => key);
  }

  /** `step/activation` of all that was entered, in order. */
  entered(): string[] {
    return this.events.flatMap((event) =>
      "entered" in event
        ? event.entered.map(({ step, activation }) => `${step}/${String(activation)}`)
        : [],
    );
  }

  args(step: string, task = step): JsonObject | undefined {
    return this.commands.findLast(({ place }) => place.step === step && place.task === task)?.args;
  }

  of<T extends DecisionEvent["type"]>(type: T): Extract<DecisionEvent, { type: T }>[] {
    return this.events.filter(
      (event): event is Extract<DecisionEvent, { type: T }> => event.type === type,
    );
  }

  get status(): string | undefined {
    return this.last?.completion?.status;
  }

  get result(): Json | undefined {
    return this.last?.completion?.result;
  }

  /** The message of the error that ended the execution. */
  get why(): string | undefined {
    return this.of("execution.failed")[0]?.error.message;
  }

  get ctx(): JsonObject {
    return this.state.ctx;
  }

  /** Plays the same again in every other way that a host may drive the core, and compares bytes. */
  proved(): this {
    const bytes = encodeState(this.state);
    const all = bytesOf(this.decisions);
    const whole = evaluate(this.inputs, this.program);
    expect(encodeState(whole.state), "whole history at once").toBe(bytes);
    expect(bytesOf([whole.decision]), "decisions of the whole history").toEqual(all);

    const { state, log } = oneByOne(this.inputs, this.program);
    expect(encodeState(state), "one decision at a time").toBe(bytes);
    const again = evaluate(log, this.program);
    expect(encodeState(again.state), "from the full history").toBe(bytes);
    expect([again.decision.events, again.decision.commands], "nothing decided twice").toEqual([
      [],
      [],
    ]);
    const doubled = evaluate(
      log.flatMap((event) => [event, event]),
      this.program,
    );
    expect(encodeState(doubled.state), "every event twice").toBe(bytes);

    let live = initialState("e1");
    const restored: Decision[] = [];
    for (const event of this.inputs) {
      const read = decodeState(encodeState(live));
      if (!read.ok) throw new Error(read.error);
      const driven = drive(read.value, [event], this.program);
      live = driven.state;
      restored.push(driven.decision);
    }
    expect(encodeState(live), "through snapshots").toBe(bytes);
    expect(bytesOf(restored), "decisions through snapshots").toEqual(all);
    return this;
  }
}

function bytesOf(decisions: readonly Decision[]): string[] {
  return decisions
    .flatMap(({ events, commands }) =>
      [...events.map((one) => canonicalJson(one))].concat(
        commands.map((one) => canonicalJson(one)),
      ),
    )
    .sort();
}

/** As a kernel does it: each record is folded, one thing is decided, recorded, folded, and so on. */
function oneByOne(
  inputs: readonly CoreEvent[],
  program: Program,
): { state: WorkflowState; log: CoreEvent[] } {
  let state = initialState("e1");
  const log: CoreEvent[] = [];
  const record = (event: CoreEvent): void => {
    log.push(event);
    state = evolve(state, event, program);
  };
  for (const input of inputs) {
    record(input);
    for (
      let next = decide(state, program);
      next.events.length + next.commands.length > 0;
      next = decide(state, program)
    ) {
      for (const event of next.events) {
        record(
          coreEventOfDecision(event, {
            eventId: `d${String(log.length)}`,
            executionId: "e1",
            timestamp: input.timestamp,
          }),
        );
      }
      for (const command of next.commands) {
        const type = command.do === "request" ? "action.requested" : "action.cancel_requested";
        record({
          ...input,
          event_id: eventId(`c${String(log.length)}`),
          event_type: type,
          context: {},
          ...at(command.place),
        });
      }
    }
  }
  return { state, log };
}

/** Where an action's event stands. */
export function at(place: Place): Pick<CoreEvent, "node_name" | "meta"> {
  const { step, ...tags } = place;
  return { node_name: step, meta: { tags } };
}
