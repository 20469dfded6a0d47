import { format, inspect } from "node:util";
import { describe, expect, it } from "vitest";
import { fault } from "../event/error.ts";
import { createSecret } from "./credential.ts";

const value = "hunter2-hunter2";
const label = "[secret warehouse]";

describe("a secret", () => {
  const secret = createSecret("warehouse", { password: value, port: 5432 });
  const printed: unknown = secret;

  it("gives what it holds to whoever asks for it", () => {
    expect(secret.reveal()).toEqual({ password: value, port: 5432 });
  });

  it.each<[string, () => string]>([
    ["String()", () => String(printed)],
    ["joining texts", () => ["", printed].join("")],
    ["JSON.stringify", () => String(JSON.parse(JSON.stringify(secret)))],
    ["util.inspect", () => inspect(secret)],
    ["util.inspect with hidden members", () => inspect(secret, { showHidden: true, depth: 9 })],
    ["console.log's format", () => format("%s", secret)],
    ["console.log's format for objects", () => format("%o", secret)],
  ])("shows its label alone by %s", (_, print) => {
    expect(print()).toBe(label);
  });

  it("shows its label alone within other values", () => {
    expect(JSON.stringify({ auth: [secret] })).toBe(`{"auth":["${label}"]}`);
    expect(inspect({ auth: [secret] })).toBe(`{ auth: [ ${label} ] }`);
  });

  it("shows its label alone as the cause and in the detail of an error", () => {
    const error = new Error("no entry", { cause: { secret } });
    expect(inspect(error)).toContain(label);
    expect(inspect(error)).not.toContain(value);
    const thrown = fault("permission", `no entry with ${String(printed)}`);
    expect(thrown.message).toBe(`no entry with ${label}`);
  });

  it("gives nothing to a clone, to a spread and to whoever lists its members", () => {
    expect(inspect(structuredClone(secret))).toBe("{}");
    expect(inspect({ ...secret })).toBe("{}");
    expect(Reflect.ownKeys(secret)).toEqual([]);
    expect(inspect(secret, { customInspect: false, showHidden: true })).not.toContain(value);
  });
});
