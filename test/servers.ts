/** Real servers on ports of this machine, for as long as one test runs. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import {
  createServer as createTcpServer,
  type AddressInfo,
  type Server,
  type Socket,
} from "node:net";

/** One request as a server got it. */
export type Seen = {
  readonly method: string | undefined;
  readonly url: string | undefined;
  readonly headers: IncomingMessage["headers"];
  readonly rawHeaders: readonly string[];
  readonly body: string;
};

export type TestServer = {
  readonly url: string;
  readonly port: number;
  readonly seen: readonly Seen[];
  readonly connections: () => Promise<number>;
  /** Breaks every connection off and listens no more. */
  readonly close: () => Promise<void>;
};

const closers: (() => Promise<void>)[] = [];

/** For `afterEach`: closes whatever this file opened. */
export async function closeServers(): Promise<void> {
  for (const close of closers.splice(0)) await close();
}

/** Answers as `answer` says, and remembers what it was sent. */
export async function serve(
  answer: (response: ServerResponse, seen: Seen) => void,
  port = 0,
): Promise<TestServer> {
  const seen: Seen[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const { method, url, headers, rawHeaders } = request;
      const body = Buffer.concat(chunks).toString("utf8");
      const one = { method, url, headers, rawHeaders, body };
      seen.push(one);
      answer(response, one);
    });
  });
  const opened = await listening(server, port);
  const close = (): Promise<void> =>
    new Promise((resolve) => {
      server.close(() => {
        resolve();
      });
      server.closeAllConnections();
    });
  closers.push(close);
  const connections = (): Promise<number> =>
    new Promise((resolve) => {
      server.getConnections((_, count) => {
        resolve(count);
      });
    });
  return { ...opened, seen, connections, close };
}

/** Below HTTP: does with a connection what no HTTP server would, once it has sent something. */
export async function serveTcp(onData: (socket: Socket) => void): Promise<TestServer> {
  const sockets = new Set<Socket>();
  const server = createTcpServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    socket.on("close", () => sockets.delete(socket));
    socket.once("data", () => {
      onData(socket);
    });
  });
  const opened = await listening(server, 0);
  const close = (): Promise<void> =>
    new Promise((resolve) => {
      server.close(() => {
        resolve();
      });
      for (const socket of sockets) socket.destroy();
    });
  closers.push(close);
  return { ...opened, seen: [], connections: () => Promise.resolve(sockets.size), close };
}

/** A port of this machine on which nobody listens. */
export async function deadPort(): Promise<number> {
  const server = createTcpServer();
  const { port } = await listening(server, 0);
  await new Promise((resolve) => server.close(resolve));
  return port;
}

function listening(server: Server, port: number): Promise<{ url: string; port: number }> {
  return new Promise((resolve) => {
    server.listen(port, "127.0.0.1", () => {
      const given = (server.address() as AddressInfo).port;
      resolve({ url: `http://127.0.0.1:${String(given)}`, port: given });
    });
  });
}
