const loopback = new Set(["127.0.0.1", "localhost", "::1", "[::1]"]);

/** True for the names under which only this machine is reached. */
export function isLoopback(host: string): boolean {
  return loopback.has(host);
}
