// The faults that `mutants.mjs` plants, each with the tests that must see it.

const core = "src/core/";
const arcs = [`${core}evaluate-arcs.test.ts`];
const control = [`${core}evaluate-control.test.ts`];
const data = [`${core}evaluate-data.test.ts`];
const joins = [`${core}evaluate-joins.test.ts`];
const loops = [`${core}evaluate-loops.test.ts`];
const names = [`${core}evaluate-names.test.ts`];
const pipelines = [`${core}evaluate-pipelines.test.ts`];
const policy = [`${core}evaluate-policy.test.ts`];
/** One group of the properties. */
const properties = (name) => ["test/core/properties.test.ts", "-t", name];
const golden = ["test/golden/golden.test.ts"];

/** One replacement in one file of the core. */
function mutant(name, tests, file, from, to) {
  return { name, tests, edits: [{ file: `src/${file}`, from, to }] };
}

export const mutants = [
  mutant(
    "two things to decide are swapped",
    golden,
    "core/state/agenda.ts",
    "state.agenda.push(item);",
    "state.agenda.splice(Math.max(state.agendaDone, state.agenda.length - 1), 0, item);",
  ),
  mutant(
    "no step is a join",
    joins,
    "core/program.ts",
    "join: (reach.incoming[draft.index] ?? 0) > 1,",
    "join: false,",
  ),
  mutant(
    "a join waits for nobody",
    joins,
    "core/decide/arcs.ts",
    "if (target === undefined || meets(live, from[join] ?? live, join)) continue;",
    "if (target === undefined) continue;",
  ),
  mutant(
    "a dead path is waited for: the step that leaves",
    joins,
    "core/decide/arcs.ts",
    "if ((liveOf[index] ?? 0) > (index === leaving ? 1 : 0)) addTo(live, index);",
    "if ((liveOf[index] ?? 0) > 0) addTo(live, index);",
  ),
  mutant(
    "a dead path is lost: a step that is skipped",
    joins,
    "core/decide/step.ts",
    "const entered = enteredAfter(state, program, { leaving: step.index, arcs: [] });\n    return",
    "const entered: never[] = [];\n    return",
  ),
  mutant(
    "arcs are decided again by the fold",
    joins,
    "core/state/fold-decision.ts",
    "for (const arc of decision.arcs) applyArc(state, program, arc);\n  enter(state, program, decision.entered);",
    "const again = decision.arcs.filter(({ taken }) => taken);\n  enter(state, program, again.map(({ to }) => ({ step: to, activation: (state.entered[program.stepIndex.get(to) ?? 0] ?? 0) + 1 })));",
  ),
  mutant(
    "an exclusive choice takes every arc",
    arcs,
    "core/decide/arcs.ts",
    "if (chosen && step.exclusive) {",
    "if (chosen && step.exclusive && arc.to === step.name) {",
  ),
  mutant(
    "on_no_match is passed over",
    arcs,
    "core/decide/step.ts",
    "if (step.failWithoutMatch && step.arcs.length > 0",
    "if (step.failWithoutMatch && step.arcs.length > 99",
  ),
  mutant(
    "a step's set is computed twice",
    golden,
    "core/decide/step.ts",
    'const set = names.assign(step.set, "set");',
    'names.assign(step.set, "set");\n  const set = names.assign(step.set, "set");',
  ),
  mutant(
    "a set is not seen by the arcs of its step",
    golden,
    "core/decide/names.ts",
    "      assign(this.scopes, one);\n",
    "",
  ),
  mutant(
    "one attempt more than allowed",
    policy,
    "core/decide/task.ts",
    "if (run.tries >= most) {",
    "if (run.tries > most) {",
  ),
  mutant(
    "exponential backoff begins doubled",
    policy,
    "core/decide/task.ts",
    "return 2 ** Math.min(tries - 1, 32);",
    "return 2 ** Math.min(tries, 32);",
  ),
  mutant(
    "linear backoff begins at nothing",
    policy,
    "core/decide/task.ts",
    "      return tries;\n",
    "      return tries - 1;\n",
  ),
  mutant(
    "a break goes on with the next task",
    pipelines,
    "core/decide/task.ts",
    "return ok({ do: then.do });",
    'return ok({ do: "continue" });',
  ),
  mutant(
    "a jump lands one task behind its label",
    pipelines,
    "core/state/progress.ts",
    "else goTo(where, to);",
    "else goTo(where, Math.min(to + 1, step.tasks.length - 1));",
  ),
  {
    name: "the attempts of a key begin anew after a jump",
    tests: properties("6."),
    edits: [
      {
        file: "src/core/decide/task.ts",
        from: "const place = placeOf(where, (run.issued[task.name] ?? 0) + 1);",
        to: "const place = placeOf(where, run.tries + 1);",
      },
      {
        file: "src/core/state/fold-decision.ts",
        from: "if (place.attempt !== (run.issued[task.name] ?? 0) + 1) return;",
        to: "",
      },
    ],
  },
  mutant(
    "time is read from a clock",
    golden,
    "core/state/read.ts",
    "return parseTimestampMs(event.timestamp);",
    "return parseTimestampMs(event.timestamp) === undefined ? undefined : Date.now();",
  ),
  mutant(
    "canonical JSON keeps the order of keys",
    golden,
    "base/canonical-json.ts",
    "Object.keys(value).sort()",
    "Object.keys(value)",
  ),
  mutant(
    "max_in_flight and one more",
    properties("7."),
    "core/state/progress.ts",
    "runs.size < loop.maxInFlight &&",
    "runs.size <= loop.maxInFlight &&",
  ),
  mutant(
    "results stand in the order of their coming",
    loops,
    "core/state/progress.ts",
    "loop.results[run.index] =",
    "loop.results[loop.success + loop.handled] =",
  ),
  mutant(
    "an iteration that fails is passed over",
    loops,
    "core/state/progress.ts",
    "if (failure !== undefined) loop.failure ??= failure;",
    "if (failure !== undefined) loop.handled += 1;",
  ),
  mutant(
    "a late result of an earlier attempt counts",
    control,
    "core/state/fold-input.ts",
    "if (run.issued[task.name] !== place.attempt) return",
    "if (place.attempt < 1) return",
  ),
  mutant(
    "a result that comes twice counts twice",
    control,
    "core/state/fold-input.ts",
    'if (run?.phase !== "open" ||',
    "if (run === undefined ||",
  ),
  mutant(
    "a child's failure is a success",
    golden,
    "core/state/fold-input.ts",
    'type === "execution.completed") {',
    'type.startsWith("execution.")) {',
  ),
  mutant(
    "cancel is not heard",
    control,
    "core/state/fold-input.ts",
    'drain(state, { why: "cancelled", reason:',
    'void ({ why: "cancelled", reason:',
  ),
  mutant(
    "a step's time-out is passed over",
    control,
    "core/state/fold-input.ts",
    'push(state, { do: "time_out", activation: wakes.activation });',
    "",
  ),
  mutant(
    "the execution's time-out is passed over",
    control,
    "core/state/fold-input.ts",
    'drain(state, { why: "timeout", error:',
    'void ({ why: "timeout", error:',
  ),
  mutant(
    "a failed step does not stop the others",
    control,
    "core/state/fold-decision.ts",
    'drain(state, { why: "failed" });',
    "",
  ),
  mutant(
    "the end does not await what runs",
    control,
    "core/decide/execution.ts",
    "if (state.openCount > 0) return undefined;",
    "",
  ),
  mutant(
    "the terminal event is given twice",
    properties("P1"),
    "core/evaluate.ts",
    "made.events.push(next);",
    'made.events.push(next);\n      if (next.type === "execution.completed") made.events.push(next);',
  ),
  mutant(
    "an input is folded before what came before is decided",
    properties("P1"),
    "core/evaluate.ts",
    "if (!isOwn(event, state)) settleAll(state, program, made);",
    "",
  ),
  mutant(
    "what came up for a step outlives it",
    control,
    "core/state/live.ts",
    "if (activation.timed && !state.timers.delete(timerOfStep(activation))) {",
    "if (!state.timers.delete(timerOfStep(activation)) && activation.number < 0) {",
  ),
  mutant(
    "a snapshot loses ctx",
    properties("P8"),
    "core/state/snapshot.ts",
    "given: verbatim({ payload, env, workload, ctx, last, result } satisfies Given),",
    "given: verbatim({ payload, env, workload, ctx: {}, last, result } satisfies Given),",
  ),
  mutant(
    "a snapshot orders the keys of what it was given",
    data,
    "core/state/snapshot.ts",
    "return JSON.stringify(value);",
    "return canonicalJson(JSON.parse(JSON.stringify(value)));",
  ),
  mutant(
    "a snapshot loses that the execution drains",
    properties("P8"),
    "core/state/snapshot.ts",
    "...(state.drain === undefined ? {} : { drain: state.drain }),",
    "",
  ),
  mutant(
    "undefined is empty where it is strict",
    names,
    "core/template.ts",
    'strict: mode === "strict"',
    "strict: false",
  ),
  mutant(
    "a noop at the end erases the result",
    data,
    "core/state/fold-decision.ts",
    "if (!step.noop) state.last = data;",
    "state.last = data;",
  ),
  mutant("admit rules are not asked", arcs, "core/decide/step.ts", "if (allow) break;", "break;"),
];
