/** The kill harness in the check: a small storm. `npm run kill` runs the large one. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { audit } from "./audit.ts";
import { planStorm } from "./plan.ts";
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
