/** The kill harness in the check: a small storm. `npm run kill` runs the large one. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { audit } from "./audit.ts";
import { planStorm } from "./plan.ts";
import { auditPlaybooks } from "./playbook-audit.ts";
import { planPlaybooks } from "./playbook-plan.ts";
import { stormAndCalm, type PlaybookStorm } from "./playbook-storm.ts";
import { runStorm } from "./storm.ts";

test("I1 to I5: killed with SIGKILL again and again, the program keeps what it promised", async () => {
  const size = { requests: 300, kills: 6, seed: 7 };
  const again = `npm run kill -- --requests 300 --kills 6 --seed ${String(size.seed)}`;
  const folder = mkdtempSync(join(tmpdir(), "deed-kill-"));
  const storm = await runStorm({ plan: planStorm(size), folder });
  expect(audit(storm), `${again}\nlog and effects: ${folder}`).toEqual([]);
  expect([...storm.answers.values()].flat().length).toBe(300);
  const starts = storm.records.filter(({ event }) => event.event_type === "worker.started");
  expect(starts.length).toBeGreaterThan(1);
  expect(storm.effects.length).toBeGreaterThan(0);
  rmSync(folder, { recursive: true });
}, 120_000);

test("every execution ends as it does without kills, though its node, its Python and its programs are killed", async () => {
  const size = { playbooks: 15, kills: 10, seed: 5 };
  const again = `npm run kill -- --playbooks 15 --kills 10 --seed ${String(size.seed)}`;
  const folder = mkdtempSync(join(tmpdir(), "deed-kill-"));
  const { calm, storm } = await stormAndCalm(planPlaybooks(size), folder);
  expect(auditPlaybooks(storm, calm), `${again}\nlog and effects: ${folder}`).toEqual([]);
  expect(storm.killed.node).toBeGreaterThan(1);
  expect(storm.executions.length).toBe(21);
  const told = (other: Partial<PlaybookStorm>): readonly string[] => [
    ...new Set(auditPlaybooks({ ...storm, ...other }, calm).map(({ invariant }) => invariant)),
  ];
  const once = storm.effects.filter((key) => key.startsWith("once/"));
  const lost = storm.effects.find((key) => key.startsWith("again/"));
  expect(told({ effects: [...storm.effects, ...once] }), "done twice").toEqual(["I3"]);
  expect(told({ effects: storm.effects.filter((key) => key !== lost) })).toEqual(["I3"]);
  expect(told({ executions: storm.executions.slice(1) })).toEqual(["I10", "end"]);
  rmSync(folder, { recursive: true });
}, 120_000);
