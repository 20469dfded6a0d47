// Tells what happens, from the log alone: detected → decided → acted → recovered, a line each.

const codes = { red: 31, green: 32, yellow: 33, cyan: 36, grey: 90, bold: 1 };

/** Follows the log by server-sent events until `signal` is aborted; takes a broken stream up again. */
export async function follow(url, { signal, record }) {
  let last;
  while (!signal.aborted) {
    try {
      const headers = last === undefined ? {} : { "last-event-id": last };
      const response = await fetch(`${url}/v1/events/stream`, { headers, signal });
      let text = "";
      for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
        text += chunk;
        for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
          const lines = text.slice(0, end).split("\n");
          text = text.slice(end + 2);
          const id = lines.find((line) => line.startsWith("id: "))?.slice(4);
          const data = lines.find((line) => line.startsWith("data: "))?.slice(6);
          if (id === undefined || data === undefined) continue;
          last = id;
          record(JSON.parse(data));
        }
      }
    } catch {
      // The node is gone or stops: it is looked for again until we stop, too.
    }
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

/** @returns what tells one record: it calls `print` for what a person wants to know, and for nothing else. */
export function createStory({ print, colours }) {
  const paint = (colour, text) => (colours ? `\u001b[${codes[colour]}m${text}\u001b[0m` : text);
  /** What is unwell, and when that was seen; runs of jobs that failed. */
  const unwell = new Map();
  const requested = new Map();

  const tell = (event, [colour, label], text) => {
    const time = paint("grey", new Date(event.ts).toLocaleTimeString("en-GB"));
    print(`${time}  ${paint(colour, label.padEnd(10))} ${text}`);
  };

  const tellers = {
    "probe.down": unwellAgain,
    "probe.degraded": unwellAgain,
    "probe.up": (event) => {
      const seen = unwell.get(event.entity_id);
      unwell.delete(event.entity_id);
      const { was, was_for_ms: lastedMs } = event.attrs;
      if (seen === undefined && was === undefined) return;
      const since = seen === undefined ? lastedMs : Date.parse(event.ts) - seen;
      tell(event, ["green", "recovered"], `${event.entity_id} is up again after ${spell(since)}`);
    },
    "job.failed": (event) => {
      const { run, exit_code: code, message } = event.attrs;
      const again = unwell.has(run);
      if (!again) unwell.set(run, Date.parse(event.ts));
      tell(
        event,
        ["red", again ? "still" : "detected"],
        `${run} failed with exit code ${code}: ${message}`,
      );
    },
    "job.succeeded": (event) => {
      const { run } = event.attrs;
      const seen = unwell.get(run);
      if (seen === undefined) return;
      unwell.delete(run);
      const after = spell(Date.parse(event.ts) - seen);
      tell(event, ["green", "recovered"], `${run} worked, ${after} after it failed first`);
    },
    "rule.fired": (event) => {
      const { rule, mode, action_id: id, would_request: would } = event.attrs;
      if (mode === "shadow") {
        const text = `${rule} would have asked for ${would.command} ${spellArgs(would)}`;
        tell(event, ["grey", "shadow"], text);
      } else if (!isNotice({ rule })) {
        tell(event, ["cyan", "decided"], `${rule} for ${event.entity_id}: ${id}`);
      }
    },
    "rule.suppressed": (event) => {
      const { rule, reason, mode } = event.attrs;
      if (isNotice({ rule }) || mode === "shadow") return;
      tell(
        event,
        ["yellow", "held back"],
        `${rule} for ${event.entity_id}: ${spellReason(reason)}`,
      );
    },
    "rule.failed": (event) => {
      tell(event, ["red", "rule error"], `${event.attrs.rule}: ${event.attrs.reason}`);
    },
    "action.requested": (event) => {
      const { redrive_of: former } = event.attrs;
      requested.set(event.action_id, event);
      if (former === undefined) return;
      tell(event, ["cyan", "re-driven"], `${former} is asked for again: ${event.action_id}`);
    },
    "action.deferred": (event) => {
      tell(event, ["yellow", "waits"], `${spellCommand(event)}: ${event.attrs.limit_key}`);
    },
    "action.retrying": (event) => {
      if (isNotice(event.tags) && event.attempt > 2) return;
      const { delay_ms: delayMs, error } = event.attrs;
      const text = `${spellCommand(event)} again in ${spell(delayMs)}: ${reasonOf(error)}`;
      tell(event, ["yellow", "retrying"], text);
    },
    "action.succeeded": (event) => {
      const request = requested.get(event.action_id);
      const took = request === undefined ? "" : ` (${spell(since(request, event))})`;
      requested.delete(event.action_id);
      const { result } = event.attrs;
      if (event.tags.action === "http.request") {
        const text = request?.attrs.args.json?.text ?? spellCommand(event);
        tell(event, ["cyan", "notified"], `"${text}"${took}`);
      } else {
        const said = String(result?.stdout ?? "").trim();
        tell(event, ["bold", "acted"], `${said || spellCommand(event)}${took}`);
      }
    },
    "action.failed": (event) => {
      tell(event, ["red", "failed"], `${spellCommand(event)}: ${reasonOf(event.attrs.error)}`);
    },
    "action.dead_lettered": (event) => {
      const id = event.action_id;
      tell(
        event,
        ["red", "needs you"],
        `${id} is in the dead-letter queue: deed dlq redrive ${id}`,
      );
      requested.delete(id);
    },
  };

  function unwellAgain(event) {
    const seen = unwell.get(event.entity_id);
    const state = event.event_type.slice("probe.".length);
    const reason = event.attrs.reason === undefined ? "" : `: ${event.attrs.reason}`;
    if (seen === undefined) {
      unwell.set(event.entity_id, Date.parse(event.ts));
      tell(event, ["red", "detected"], `${event.entity_id} is ${state}${reason}`);
    } else {
      const sinceMs = Date.parse(event.ts) - seen;
      const text = `${event.entity_id} is ${state}, for ${spell(sinceMs)} now${reason}`;
      tell(event, ["red", "still"], text);
    }
  }

  return ({ event }) => tellers[event.event_type]?.(event);
}

/** Notifications follow every step: how they end is told, that they were decided on is not. */
function isNotice({ rule }) {
  return String(rule).startsWith("notify");
}

function since(before, after) {
  return Math.max(0, Date.parse(after.ts) - Date.parse(before.ts));
}

function spellCommand(event) {
  return `${event.tags.rule ?? event.tags.action} for ${event.entity_id}`;
}

function spellArgs({ args }) {
  return args?.json?.text === undefined ? "" : `"${args.json.text}"`;
}

function spellReason(reason) {
  return (
    {
      cool_down: "it fired a moment ago (cool_down)",
      throttle: "it fired too often lately (throttle)",
      horizon: "what was seen is too old (horizon)",
    }[reason] ?? reason
  );
}

function reasonOf(error) {
  const said = String(error?.detail?.stderr ?? "").trim();
  return said === "" ? (error?.message ?? "") : `${error.message}: ${said.split("\n").at(-1)}`;
}

function spell(ms) {
  return ms < 1_000 ? `${Math.round(ms)} ms` : `${(ms / 1_000).toFixed(1)} s`;
}
