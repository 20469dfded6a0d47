import { describe, expect, it } from "vitest";
import type { RequestAttrs } from "../action/request.ts";
import type { JsonObject } from "../base/json.ts";
import { fault } from "../event/error.ts";
import { createSecret, type AttemptCredentials } from "../executor/credential.ts";
import { renderKeychain } from "./keychain.ts";

const stored: Record<string, JsonObject> = {
  api: { token: "t0ken-t0ken", port: 8443 },
  "pg-main": { password: "pa55-pa55" },
};

function ask(args: JsonObject, more: Partial<RequestAttrs>): Promise<JsonObject> {
  return renderKeychain({ command: "http", args, ...more }, credentials);
}

const credentials: AttemptCredentials = {
  resolve: (alias) => {
    const values = stored[alias];
    return values === undefined
      ? Promise.reject(fault("not_found", `There is no credential "${alias}"`))
      : Promise.resolve(createSecret(alias, values));
  },
};

describe("the keychain in arguments", () => {
  it("is put into the named strings, alone with its type and within a text as a text", async () => {
    const args = {
      url: "https://x/{{ keychain.api.token }}",
      port: "{{ keychain.api.port }}",
      headers: { authorization: "Bearer {{ keychain.api.token }}" },
      list: ["a", { deep: "{{ keychain['pg-main'].password | b64encode }}" }],
    };
    const secrets = [["port"], ["headers", "authorization"], ["list", 1, "deep"]];
    expect(await ask(args, { secrets })).toEqual({
      url: "https://x/{{ keychain.api.token }}",
      port: 8443,
      headers: { authorization: "Bearer t0ken-t0ken" },
      list: ["a", { deep: "cGE1NS1wYTU1" }],
    });
    expect(args.list[1]).toEqual({ deep: "{{ keychain['pg-main'].password | b64encode }}" });
  });

  it("takes the alias that the request gives for a name", async () => {
    const args = { a: "{{ keychain.db.password }}" };
    const made = ask(args, { secrets: [["a"]], keychain: { db: "pg-main", api: "none" } });
    expect(await made).toEqual({ a: "pa55-pa55" });
  });

  it("gives a member of any name its value, and nothing else", async () => {
    const args = JSON.parse('{"__proto__": "{{ keychain.api.port }}"}') as JsonObject;
    const made = await ask(args, { secrets: [["__proto__"]] });
    expect(Object.entries(made)).toEqual([["__proto__", 8443]]);
    expect(Object.getPrototypeOf(made)).toBe(Object.prototype);
  });

  it.each<[string, string, (string | number)[], string]>([
    ["an unknown alias", "{{ keychain.other.x }}", ["a"], 'There is no credential "other"'],
    ["an unknown member", "{{ keychain.api.nope }}", ["a"], "Cannot put a secret into args.a: "],
    ["another root", "{{ keychain.api.port }}{{ workload }}", ["a"], "into args.a: "],
    ["no template", "{{ keychain.api.token", ["a"], "Cannot put a secret into args.a: "],
    ["a path to nowhere", "", ["b", 0], "args.b.0: there is no string there"],
    ["an inherited member", "", ["constructor", "name"], "there is no string there"],
  ])("refuses %s", async (_, a, path, message) => {
    await expect(ask({ a }, { secrets: [path] })).rejects.toThrow(message);
  });
});
