/** What tools do, for real: python in CPython, http against the test server. For `compat.ts`. */
import { spawn, type ChildProcess } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { isJsonObject, type Json, type JsonObject } from "../src/base/json.ts";
import { deedError, type DeedError, type ErrorKind } from "../src/event/error.ts";
import type { Asked, ScriptedOutcome } from "../src/core/scripted-world.ts";

/** A process that answers each line with a line. */
export class LineProcess {
  private readonly child: ChildProcess;
  private readonly lines: AsyncIterator<string>;

  constructor(command: string, args: readonly string[]) {
    this.child = spawn(command, args, { stdio: ["pipe", "pipe", "inherit"] });
    if (this.child.stdout === null) throw new Error(`Cannot read what ${command} says`);
    this.lines = createInterface({ input: this.child.stdout })[Symbol.asyncIterator]();
  }

  async line(): Promise<string> {
    const next = await this.lines.next();
    if (next.done === true) throw new Error(`${this.child.spawnfile} ended before it answered`);
    return next.value;
  }

  async ask(text: string): Promise<string> {
    this.child.stdin?.write(`${text}\n`);
    return await this.line();
  }

  stop(): void {
    this.child.kill();
  }
}

export class Tools {
  private readonly python = new LineProcess("python3", [
    fileURLToPath(new URL("compat-python.py", import.meta.url)),
  ]);
  private readonly folder: string;
  private readonly server: string;

  /** @param folder of the playbooks. @param server base URL of the test server. */
  constructor(folder: string, server: string) {
    this.folder = folder;
    this.server = server;
  }

  stop(): void {
    this.python.stop();
  }

  async outcome({ command, executionId }: Asked): Promise<ScriptedOutcome> {
    const { kind, args } = command;
    const input = isJsonObject(args["input"]) ? args["input"] : {};
    switch (kind) {
      case "noop":
        return { does: "succeed", result: args["result"] ?? null };
      case "http":
        return await this.http(args);
      case "python":
        return await this.runPython(args, { input, executionId });
      default:
        return failed("unprocessable", `Cannot run kind ${kind} here`);
    }
  }

  private async runPython(
    args: JsonObject,
    { input, executionId }: { readonly input: JsonObject; readonly executionId: string },
  ): Promise<ScriptedOutcome> {
    const code = await this.code(args);
    if (typeof code !== "string") return { does: "fail", error: code };
    const request = {
      code,
      inputs: input,
      context: { execution_id: executionId },
      libs: args["libs"] ?? {},
    };
    const answer: unknown = JSON.parse(await this.python.ask(JSON.stringify(request)));
    if (!isJsonObject(answer)) return failed("executor_error", "Python gave no answer");
    const { error, ok = null } = answer;
    if (!isJsonObject(error)) return { does: "succeed", result: ok };
    return failed(
      "executor_error",
      `${texted(error["type"] ?? "")}: ${texted(error["message"] ?? "")}`,
    );
  }

  /** The code as it stands, from the tree of the playbooks, or from an address. */
  private async code(args: JsonObject): Promise<string | DeedError> {
    const { code, script } = args;
    if (typeof code === "string") return code;
    if (!isJsonObject(script)) return deedError("invalid_args", "The tool has no code");
    const { uri, source } = script;
    const from: JsonObject = isJsonObject(source) ? source : {};
    if (from["type"] === "http") {
      const url = texted(from["endpoint"] ?? from["url"] ?? uri ?? "");
      const answer = await fetch(this.address(url));
      if (answer.ok) return await answer.text();
      return deedError("not_found", `Cannot load ${url}: HTTP ${String(answer.status)}`);
    }
    const path = texted(uri ?? "").replace(/^\.\//, "");
    const tree = path.replace(/^(?:tests\/)?fixtures\/playbooks\//, "");
    const file = [join(this.folder, path), join(this.folder, tree)].find(existsSync);
    if (file === undefined) return deedError("not_found", `Cannot find the script ${path}`);
    return readFileSync(file, "utf8");
  }

  private async http(args: JsonObject): Promise<ScriptedOutcome> {
    const { method = "GET", headers, params, body } = args;
    const url = texted(args["url"] ?? "");
    let address: URL;
    try {
      address = new URL(this.address(url));
    } catch {
      return failed("invalid_args", `Cannot call ${url}: it is no URL`);
    }
    for (const [name, value] of Object.entries(isJsonObject(params) ? params : {})) {
      address.searchParams.set(name, texted(value ?? null));
    }
    const sent = body === undefined || body === null ? undefined : texted(body);
    try {
      const answer = await fetch(address, {
        method: texted(method),
        headers: {
          ...(sent === undefined ? {} : { "content-type": "application/json" }),
          ...Object.fromEntries(
            Object.entries(isJsonObject(headers) ? headers : {}).map(([name, value]) => [
              name,
              texted(value ?? null),
            ]),
          ),
        },
        ...(sent === undefined ? {} : { body: sent }),
      });
      return answered(answer.status, Object.fromEntries(answer.headers), await answer.text());
    } catch (thrown) {
      return failed("unavailable", `Cannot reach ${address.href}: ${String(thrown)}`);
    }
  }

  /** Public hosts, and the server's own name in the files, are at the test server. */
  private address(url: string): string {
    const [, host = "", rest = ""] = /^https?:\/\/([^/]+)(.*)$/s.exec(url) ?? [];
    if (host === "" || host === new URL(this.server).host || host.startsWith("127.0.0.1")) {
      return url;
    }
    if (host === "paginated-api.test-server.svc.cluster.local:5555") return this.server + rest;
    return `${this.server}/${host}${rest}`;
  }
}

function answered(status: number, headers: JsonObject, text: string): ScriptedOutcome {
  const data = parsed(text);
  const result = { status_code: status, headers, data, body: data };
  if (status < 400) return { does: "succeed", result };
  const message = `The server answered ${String(status)}`;
  const error = deedError(kindOf(status), message, { status, headers, data });
  return { does: "fail", error: status >= 500 ? { ...error, retryable: true } : error };
}

function kindOf(status: number): ErrorKind {
  switch (status) {
    case 401:
    case 403:
      return "permission";
    case 404:
      return "not_found";
    case 408:
    case 504:
      return "timeout";
    case 409:
      return "conflict";
    case 429:
      return "rate_limited";
    default:
      return status >= 500 ? "unavailable" : "invalid_args";
  }
}

function failed(kind: ErrorKind, message: string): ScriptedOutcome {
  return { does: "fail", error: deedError(kind, message) };
}

function parsed(text: string): Json {
  try {
    return JSON.parse(text) as Json;
  } catch {
    return text;
  }
}

function texted(value: Json): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}
