/** The part of the log's contract that is about removing old events; run by `log-contract.ts`. */
import { expect, test } from "vitest";
import { eventOf, offsetsOf, requestOf, rowStage, type LogCase } from "../../test/log/fixture.ts";
import { actionIdOf, executionId } from "../event/ids.ts";

const hour = 3_600_000;
const day = 24 * hour;

export function retentionContract({ log, clock, reopen }: LogCase): void {
  const left = async () => offsetsOf(await log().read({ from: 1, limit: 10_000 }));

  test("each topic is kept for its own time, and one that is not named for ever", async () => {
    await log().append([
      eventOf(),
      eventOf({ type: "rule.fired" }),
      eventOf({ type: "event.rejected" }),
    ]);
    clock().move(2 * hour);
    await log().append([eventOf(), eventOf({ type: "rule.fired" })]);
    clock().move(hour);
    await log().append([eventOf()]);
    expect(await log().retain({ "events.normalized": 2 * hour, decisions: 10 * hour })).toBe(1);
    expect(await left()).toEqual([2, 3, 4, 5, 6]);
    expect(await log().retain({ "events.normalized": hour, decisions: 2 * hour })).toBe(1);
    expect(await left()).toEqual([3, 4, 5, 6]);
    expect(await log().retain({})).toBe(0);
  });

  test("2. the newest event stays, so offsets and ids go on behind it", async () => {
    const receipts = await log().append([eventOf(), eventOf()]);
    clock().move(day);
    expect(await log().retain({ "events.normalized": 0 })).toBe(1);
    expect(await left()).toEqual([2]);
    clock().move(-2 * day);
    const reopened = await reopen();
    expect(reopened.head()).toBe(2);
    const [next] = await reopened.append([eventOf()]);
    expect(next?.offset).toBe(3);
    expect(BigInt(next?.eventId ?? 0) > BigInt(receipts[1]?.eventId ?? 0)).toBe(true);
  });

  test("nothing of an open action goes, and what stands between its events does", async () => {
    const short = await reopen({ dedupWindowMs: hour });
    short.attach(rowStage(short));
    const open = actionIdOf("default", "open");
    const ended = actionIdOf("default", "ended");
    await short.append([requestOf("open"), requestOf("ended")]);
    await short.append([
      eventOf({ type: "action.accepted", action: open }),
      eventOf({ type: "action.accepted", action: ended }),
      eventOf(),
      eventOf({ type: "action.succeeded", action: ended }),
      eventOf(),
    ]);
    clock().move(day);
    const policy = {
      "events.normalized": hour,
      "actions.requested": hour,
      "actions.progress": hour,
      "actions.result": 2 * day,
    };
    expect(await short.retain(policy)).toBe(3);
    expect(await left()).toEqual([1, 3, 6, 7]);
    expect(offsetsOf(await short.readThread({ of: { action: open }, limit: 9 }))).toEqual([1, 3]);
    expect(short.openActions().map(({ actionId }) => actionId)).toEqual([open]);
    await short.append([eventOf({ type: "action.succeeded", action: open })]);
    expect(await short.retain(policy)).toBe(3);
    expect(await left()).toEqual([6, 8]);
  });

  test("an action's row goes with its request, and then its key may be used anew", async () => {
    const short = await reopen({ dedupWindowMs: hour });
    short.attach(rowStage(short));
    const action = actionIdOf("default", "a");
    await short.append([requestOf("a"), eventOf({ type: "action.succeeded", action }), eventOf()]);
    clock().move(hour - 1);
    expect(await short.retain({ "actions.requested": 0 })).toBe(0);
    clock().move(2);
    expect(await short.retain({ "actions.requested": 0 })).toBe(1);
    expect(await short.getAction(action)).toBeUndefined();
    expect(await short.listActions({ limit: 9 })).toEqual([]);
    expect(await short.readThread({ of: { action }, limit: 9 })).toEqual([]);
    const [again] = await short.append([requestOf("a")]);
    expect(again).toMatchObject({ offset: 4, duplicate: false });
    expect(await short.getAction(action)).toMatchObject({ requestOffset: 4, status: "requested" });
    expect(offsetsOf(await short.readThread({ of: { action }, limit: 9 }))).toEqual([4]);
  });

  test("6. threads and lookups go on right over what was removed", async () => {
    const execution = executionId("run-1");
    for (let at = 0; at < 4; at += 1) {
      await log().append([eventOf({ execution }), eventOf({ type: "rule.fired", execution })]);
      clock().move(hour);
    }
    expect(await log().retain({ "events.normalized": 2 * hour + 1 })).toBe(2);
    expect(await log().retain({ "events.normalized": 2 * hour - 1 })).toBe(1);
    for (const of of [{ execution }, { entity: "job:nightly" }]) {
      const oldest = await log().readThread({ of, limit: 9 });
      expect(offsetsOf(oldest)).toEqual([2, 4, 6, 7, 8]);
      const newest = await log().readThread({ of, limit: 2, order: "newest" });
      expect(offsetsOf(newest)).toEqual([8, 7]);
    }
    for (const record of await log().read({ from: 1, limit: 10 })) {
      expect(await log().findEvent(record.event.event_id)).toEqual(record);
    }
  });

  test("appends may come while old events are removed", async () => {
    await log().append(Array.from({ length: 3_500 }, () => eventOf()));
    clock().move(hour);
    const removing = log().retain({ "events.normalized": 1 });
    const [receipt] = await log().append([eventOf()]);
    expect(receipt?.offset).toBe(3_501);
    expect(await removing).toBe(3_499);
    expect(await left()).toEqual([3_500, 3_501]);
  });
}
