import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { closeServers, serve } from "../../test/servers.ts";
import { faultOf } from "./executor-contract.ts";
import { createScripts, type Script, type ScriptOptions } from "./script.ts";

let folder: string;
let root: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "deed-script-"));
  root = join(folder, "root");
  mkdirSync(join(root, "scripts"), { recursive: true });
  writeFileSync(join(root, "scripts", "hello.py"), "result = '{{ name }} ü'\n");
  writeFileSync(join(folder, "secret.py"), "s3cret");
});

afterEach(async () => {
  rmSync(folder, { recursive: true, force: true });
  await closeServers();
});

const load = (script: Script, options: ScriptOptions = { root }): Promise<string> =>
  createScripts(options).load(script, new AbortController().signal);

const code = "result = '{{ name }} ü'\n";

describe("1. a file of the folder, and nothing outside of it", () => {
  test.each(["scripts/hello.py", "./scripts/hello.py", "scripts/../scripts/hello.py"])(
    "%s is read as it stands, templates and all",
    async (uri) => {
      expect(await load({ uri, source: { type: "file" } })).toBe(code);
      expect(await load({ uri })).toBe(code);
    },
  );

  test("a beginning that the folder stands for is left out, where the path as it is leads nowhere", async () => {
    const strip = ["./fixtures/playbooks/"];
    const uri = "./fixtures/playbooks/scripts/hello.py";
    expect(await load({ uri }, { root, strip })).toBe(code);
    expect((await faultOf(load({ uri }))).kind).toBe("not_found");
    mkdirSync(join(root, "fixtures/playbooks/scripts"), { recursive: true });
    writeFileSync(join(root, "fixtures/playbooks/scripts/hello.py"), "other");
    expect(await load({ uri }, { root, strip })).toBe("other");
  });

  test.each(["../secret.py", "scripts/../../secret.py", "fixtures/../../secret.py", ".."])(
    "%s is refused, whether it is there or not",
    async (uri) => {
      const strip = ["fixtures"];
      expect(await faultOf(load({ uri }, { root, strip }))).toEqual({
        kind: "permission",
        message: `Cannot load the script ${uri} as it is outside of executors.scripts.root`,
        retryable: false,
      });
    },
  );

  test("an absolute path is one outside, unless it lies in the folder", async () => {
    expect((await faultOf(load({ uri: join(folder, "secret.py") }))).kind).toBe("permission");
    expect(await load({ uri: join(root, "scripts/hello.py") })).toBe(code);
  });

  test("a link must not lead out; one that stays inside is followed", async () => {
    symlinkSync(join(folder, "secret.py"), join(root, "out.py"));
    symlinkSync(folder, join(root, "up"));
    symlinkSync(join(root, "scripts/hello.py"), join(root, "in.py"));
    expect((await faultOf(load({ uri: "out.py" }))).kind).toBe("permission");
    expect((await faultOf(load({ uri: "up/secret.py" }))).kind).toBe("permission");
    expect(await load({ uri: "in.py" })).toBe(code);
  });

  test("a folder whose own path is a link is the folder that it leads to", async () => {
    symlinkSync(root, join(folder, "link"));
    expect(await load({ uri: "scripts/hello.py" }, { root: join(folder, "link") })).toBe(code);
  });

  test("without a folder the error says what to configure", async () => {
    expect(await faultOf(load({ uri: "a.py" }, {}))).toEqual({
      kind: "permission",
      message:
        "Cannot load the script a.py as this node has no folder of scripts: configure executors.scripts.root",
      retryable: false,
    });
  });

  test.each<[string, Script, string, string]>([
    ["no such file", { uri: "none.py" }, "not_found", "there is no such file"],
    ["below a file", { uri: "scripts/hello.py/x" }, "not_found", "there is no such file"],
    ["a folder", { uri: "scripts" }, "not_found", "it is no file"],
    ["no uri", {}, "invalid_args", "it has no uri"],
    ["an empty uri", { uri: "" }, "invalid_args", "it has no uri"],
  ])("%s", async (_, script, kind, why) => {
    const error = await faultOf(load(script));
    expect(error.kind).toBe(kind);
    expect(error.message).toContain(why);
  });

  test("what is no text, or too much of it, is refused", async () => {
    writeFileSync(join(root, "bytes.py"), Buffer.from([0xff, 0xfe, 0x41]));
    writeFileSync(join(root, "most.py"), "#".repeat(1_048_576));
    writeFileSync(join(root, "more.py"), "#".repeat(1_048_577));
    expect((await faultOf(load({ uri: "bytes.py" }))).kind).toBe("unprocessable");
    expect(await load({ uri: "most.py" })).toHaveLength(1_048_576);
    expect((await faultOf(load({ uri: "more.py" }))).message).toBe(
      "Cannot load the script more.py as it is larger than 1048576 bytes",
    );
  });
});

describe("2. a URL", () => {
  test("is fetched where it is remapped to, with the headers of its source", async () => {
    const server = await serve((response) => response.end(code));
    const http = { allowHosts: ["code.invalid"], remap: { "https://code.invalid": server.url } };
    const endpoint = "https://code.invalid/hello.py";
    const source = { type: "http", endpoint, method: "GET", timeout: 30 } as const;
    expect(await load({ uri: "hello.py", source }, { http })).toBe(code);
    expect(await load({ source: { type: "http", url: endpoint } }, { http })).toBe(code);
    expect(await load({ uri: endpoint, source: { type: "http" } }, { http })).toBe(code);
    const named = { ...source, headers: { accept: "text/x-python" } };
    await load({ source: named }, { http });
    expect(server.seen.map(({ method, url }) => [method, url])).toEqual(
      Array.from({ length: 4 }, () => ["GET", "/hello.py"]),
    );
    expect(server.seen[3]?.headers["accept"]).toBe("text/x-python");
    const elsewhere = { type: "http", endpoint: server.url } as const;
    expect((await faultOf(load({ source: elsewhere }, { http }))).kind).toBe("permission");
  });

  test.each([
    [404, "not_found", false],
    [302, "executor_error", false],
    [503, "unavailable", true],
  ])("an answer %i is no code", async (status, kind, retryable) => {
    const server = await serve((response) => response.writeHead(status).end("no"));
    const source = { type: "http", endpoint: server.url } as const;
    expect(await faultOf(load({ source }))).toMatchObject({ kind, retryable, detail: { status } });
  });

  test("an answer that is too large, too slow, or not wanted any more", async () => {
    const server = await serve((response, { url }) => {
      if (url !== "/slow") response.end("#".repeat(1_048_577));
    });
    const from = (path: string): Script => ({
      source: { type: "http", endpoint: server.url + path, timeout: 0.05 },
    });
    expect((await faultOf(load(from("/large")))).kind).toBe("unprocessable");
    expect(await faultOf(load(from("/slow")))).toMatchObject({
      kind: "timeout",
      message: "Cannot load the script as it took longer than 0.05 s",
    });
    const call = createScripts({}).load(from("/slow"), AbortSignal.abort());
    expect((await faultOf(call)).kind).toBe("cancelled");
  });
});
