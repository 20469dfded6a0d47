import { firstOfBody, refusedBy, send, targetOf, wholeBody, type HttpOptions } from "./exchange.ts";
import { retryableStatus } from "./status.ts";

/**
 * Gets one URL as text (UTF-8), under the same allow list, remapping and promises as every exchange.
 *
 * @throws {Fault} by any status but 2xx, and by more than `bytesMax`.
 */
export async function fetchText(
  written: string,
  options: HttpOptions,
  call: {
    readonly headers: Readonly<Record<string, string>>;
    readonly signal: AbortSignal;
    readonly bytesMax: number;
  },
): Promise<string> {
  const exchange = {
    ...targetOf(written, options),
    method: "GET",
    headers: { "user-agent": "deed", ...call.headers },
    body: null,
    signal: call.signal,
    idempotent: true,
  };
  const answer = await send(exchange);
  const { statusCode: status } = answer;
  if (status >= 200 && status < 300) {
    return (await wholeBody(answer, exchange, call.bytesMax)).toString("utf8");
  }
  await firstOfBody(answer, exchange, 0);
  throw refusedBy(exchange, answer, { retryable: retryableStatus(status, true), detail: {} });
}
