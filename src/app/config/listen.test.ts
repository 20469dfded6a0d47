import { expect, it } from "vitest";
import { parseListen } from "./listen.ts";

it.each([
  ["127.0.0.1:7333", "127.0.0.1", 7_333],
  ["localhost:80", "localhost", 80],
  ["[::]:80", "::", 80],
  [":80", "127.0.0.1", 80],
  ["0", "127.0.0.1", 0],
])("listen %s", (text, host, port) => {
  expect(parseListen(text)).toEqual({ host, port });
});

it.each(["", "host", "1.2.3.4", "::1:80", "a:70000", "http://a:80", "a:b"])(
  "listen %j is refused",
  (text) => {
    expect(parseListen(text)).toBeUndefined();
  },
);
