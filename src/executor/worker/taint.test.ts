import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Json } from "../../base/json.ts";
import { createSecret, type Credentials } from "../credential.ts";
import { createTaint, type Taint } from "./taint.ts";

const password = `p"ss\\w'rd <ü> & 100%/+~`;

const label = "[secret db]";

function holding(values: Record<string, Json>, open: Record<string, Json> = {}): Credentials {
  return { resolve: (alias) => Promise.resolve(createSecret(alias, values, open)) };
}

async function taintOf(values: Record<string, Json>, open = {}): Promise<Taint> {
  const taint = createTaint(holding(values, open), "default");
  await taint.resolve("db");
  return taint;
}

describe("2. the forms in which programs write a secret", () => {
  const utf8 = Buffer.from(password);
  const forms: [string, string][] = [
    ["as it is", password],
    ["in JSON", JSON.stringify(password)],
    ["in JSON within JSON", JSON.stringify(JSON.stringify({ password }))],
    ["in JSON of ASCII", `"p\\"ss\\\\w'rd <\\u00fc> & 100%/+~"`],
    ["as tojson writes it", `"p\\"ss\\\\w\\u0027rd \\u003c\\u00fc\\u003e \\u0026 100%/+~"`],
    ["in a URL", encodeURIComponent(password)],
    ["in a URL with small escapes", encodeURIComponent(password).replaceAll(/%../g, lower)],
    ["in a path of a URL", encodeURIComponent(password).replaceAll("%2F", "/")],
    ["in a form", new URLSearchParams({ password }).toString()],
    ["in base64", utf8.toString("base64")],
    ["in base64url", utf8.toString("base64url")],
    ["as a basic authorization", `Basic ${Buffer.from(`me:${password}`).toString("base64")}`],
    ["in base64, one byte later", Buffer.from(`xmy:${password}!`).toString("base64")],
    ["in base64, two bytes later", Buffer.from(`xxmy:${password}!!`).toString("base64")],
    ["in hexadecimal", utf8.toString("hex")],
    ["in large hexadecimal", utf8.toString("hex").toUpperCase()],
    ["in Python", `'p"ss\\\\w\\'rd <ü> & 100%/+~'`],
    ["in a shell", `'p"ss\\w'\\''rd <ü> & 100%/+~'`],
    ["in HTML", `p"ss\\w'rd &lt;ü&gt; &amp; 100%/+~`],
    ["in an attribute of HTML", `p&quot;ss\\w&#39;rd &lt;ü&gt; &amp; 100%/+~`],
  ];

  test.each(forms)("%s, it is taken out", async (_, form) => {
    const taint = await taintOf({ password });
    const cleared = taint.text(`before ${form} after`);
    expect(cleared).toContain(label);
    expect(cleared.startsWith("before ")).toBe(true);
    expect(cleared.endsWith(" after")).toBe(true);
    for (const piece of ["ss\\w", "rd <", "100%"]) expect(cleared).not.toContain(piece);
  });

  test("a text that is nothing but the secret is nothing but its label", async () => {
    const taint = await taintOf({ password });
    expect(taint.text(password)).toBe(label);
    expect(taint.text(utf8.toString("base64"))).toBe(label);
    expect(taint.text(utf8.toString("hex"))).toBe(label);
  });

  test("the lines of a key are secrets of their own, its frame is none", async () => {
    const key =
      "-----BEGIN KEY-----\nMIIEvgIBADANBgkqhkiG9w0B\nAQEFAASCBKgwggSkAgEAAoIB\n-----END KEY-----\n";
    const taint = await taintOf({ key });
    expect(taint.text("line 2: AQEFAASCBKgwggSkAgEAAoIB")).toBe(`line 2: ${label}`);
    expect(taint.text("after -----BEGIN KEY----- it")).toBe("after -----BEGIN KEY----- it");
    expect(taint.text(key.trim())).toBe(label);
  });

  test("one that was cut away in the middle is taken out at either end", async () => {
    const taint = await taintOf({ token: "abcdefghijklmnop" });
    expect(taint.text("ijklmnop is the end")).toBe(`${label} is the end`);
    expect(taint.text("it begins as abcdefgh")).toBe(`it begins as ${label}`);
    expect(taint.text("it begins as abcdefgh …")).toBe(`it begins as ${label} …`);
    expect(taint.text("abcde is too little, klmnop too far from an end")).toBe(
      "abcde is too little, klmnop too far from an end",
    );
  });
});

test("2. no text that holds a secret keeps it, whatever stands around it", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.string({ minLength: 6, maxLength: 40, unit: "binary" }),
      fc.string(),
      fc.string(),
      async (secret, before, after) => {
        const taint = await taintOf({ secret });
        const told = { [secret]: [before + secret + after, { deep: JSON.stringify({ secret }) }] };
        const cleared = JSON.stringify(taint.value(told));
        if (!label.includes(secret)) expect(cleared.replaceAll(label, "")).not.toContain(secret);
      },
    ),
  );
});

test("what holds no secret is given back as it is", async () => {
  const taint = await taintOf({ password }, { host: "db.internal" });
  const value = { page_token: "eyJwYWdlIjoyfQ", password: "another", host: "db.internal", n: [1] };
  expect(taint.value(value)).toEqual(value);
});

test("3. short values and open members are left alone; numbers are not", async () => {
  const taint = await taintOf({ pin: 123_456, user: "bob", list: ["s3cr3t-1", { a: "s3cr3t-2" }] });
  expect(taint.value(["bob", 123_456, "s3cr3t-1", "s3cr3t-2", 12_345, null, true])).toEqual([
    "bob",
    label,
    label,
    label,
    12_345,
    null,
    true,
  ]);
});

test("1. nothing is taken out before it was revealed, and each secret by its own alias", async () => {
  const values: Record<string, string> = { a: "value-of-a", b: "value-of-a-and-b" };
  const taint = createTaint(
    { resolve: (alias) => Promise.resolve(createSecret(alias, { value: values[alias] })) },
    "default",
  );
  expect(taint.text("value-of-a")).toBe("value-of-a");
  await taint.resolve("a");
  await taint.resolve("b");
  expect(taint.text("value-of-a, value-of-a-and-b")).toBe("[secret a], [secret b]");
});

test("an error keeps its kind; its message and its detail are cleared", async () => {
  const taint = await taintOf({ password });
  const cyclic: Record<string, Json> = {};
  cyclic["self"] = cyclic;
  expect(
    taint.error({
      kind: "permission",
      message: `refused ${password}`,
      retryable: false,
      detail: { sent: { password }, [password]: 1 },
    }),
  ).toEqual({
    kind: "permission",
    message: `refused ${label}`,
    retryable: false,
    detail: { sent: { password: label }, [label]: 1 },
  });
  expect(
    taint.error({ kind: "permission", message: "", retryable: false, detail: cyclic }).detail,
  ).toEqual({ left_out: "not JSON" });
});

function lower(text: string): string {
  return text.toLowerCase();
}
