import { isLoopback } from "../../api/loopback.ts";
import type { Config } from "./shape.ts";
import type { Reading } from "./reading.ts";

export type Listen = { readonly host: string; readonly port: number };

const listenDefault: Listen = { host: "127.0.0.1", port: 7333 };

/** Where the API listens: beyond loopback only with a token. */
export function listenOf({ config, problem }: Reading, tokens: Config["tokens"]): Listen {
  if (config.listen === undefined) return listenDefault;
  const listen = parseListen(config.listen);
  if (listen === undefined) {
    problem(
      ["listen"],
      `"${config.listen}" is no host:port: write it as in 127.0.0.1:7333, [::1]:7333 or 7333`,
    );
    return listenDefault;
  }
  if (!isLoopback(listen.host) && tokens.length === 0) {
    problem(
      ["listen"],
      `cannot listen on ${listen.host} without a token, as anyone who reaches it could act: set api.token_env or api.token_file, or listen on 127.0.0.1`,
    );
  }
  return listen;
}

/** `host:port`, `[v6]:port`, `:port` or `port`; the last two are on loopback. */
export function parseListen(listen: string): Listen | undefined {
  const [, bracketed, name, port] =
    /^(?:(?:\[([0-9a-fA-F:.]+)\]|([^\s:[\]/]*)):)?(\d{1,5})$/.exec(listen) ?? [];
  if (port === undefined || Number(port) > 65_535) return undefined;
  const host = bracketed ?? name ?? "";
  return { host: host === "" ? listenDefault.host : host, port: Number(port) };
}
