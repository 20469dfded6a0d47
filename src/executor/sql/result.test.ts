import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Fault } from "../../event/error.ts";
import {
  distinctNames,
  exactJson,
  exactNumber,
  isoInstant,
  isoLocal,
  sqlResult,
} from "./result.ts";

describe("numbers", () => {
  test.each([
    ["0", 0],
    ["-12", -12],
    ["9007199254740991", 9007199254740991],
    ["9007199254740992", 9007199254740992],
    ["9007199254740993", "9007199254740993"],
    ["-9223372036854775808", "-9223372036854775808"],
    ["1.50", 1.5],
    ["5.15", 5.15],
    ["0.1", 0.1],
    ["0.10000000000000000001", "0.10000000000000000001"],
    ["17.0000000000000000", 17],
    ["33.3333333333333333333", "33.3333333333333333333"],
    ["0.000000001", 1e-9],
    ["0.00", 0],
    ["100000000000000000000000", 1e23],
    ["NaN", "NaN"],
    ["Infinity", "Infinity"],
    ["1e400", "1e400"],
  ])("%s reads as %j", (text, value) => {
    expect(exactNumber(text)).toBe(value);
  });

  test("whatever is read as a number says the same decimal", () => {
    fc.assert(
      fc.property(fc.bigInt(), fc.nat(20), (digits, scale) => {
        const sign = digits < 0n ? "-" : "";
        const all = String(digits < 0n ? -digits : digits).padStart(scale + 1, "0");
        const at = all.length - scale;
        const text = `${sign}${all.slice(0, at)}${scale === 0 ? "" : `.${all.slice(at)}`}`;
        const read = exactNumber(text);
        if (typeof read === "string") expect(read).toBe(text);
        else expect(scaled(read, scale)).toBe(digits);
      }),
    );
  });

  test("a number in JSON text that a JSON number cannot hold is text, a digit in a text is none", () => {
    const text =
      '{"a":12345678901234567890,"b":[1.5,-9007199254740993,1e2],"c":"12345678901234567890 \\" 1e5"}';
    expect(exactJson(text)).toEqual({
      a: "12345678901234567890",
      b: [1.5, "-9007199254740993", 100],
      c: '12345678901234567890 " 1e5',
    });
  });
});

/** A number's shortest decimal times ten to the scale, exactly. */
function scaled(value: number, scale: number): bigint {
  const [mantissa = "", exponent = "0"] = String(value).split("e");
  const [whole = "", part = ""] = mantissa.split(".");
  const shift = scale + Number(exponent) - part.length;
  const digits = BigInt(whole + part);
  return shift >= 0 ? digits * 10n ** BigInt(shift) : digits / 10n ** BigInt(-shift);
}

describe("times", () => {
  test.each([
    ["2024-02-03 04:05:06+00", "2024-02-03T04:05:06Z"],
    ["2024-02-03 04:05:06.123456+02", "2024-02-03T02:05:06.123456Z"],
    ["2024-01-01 00:05:06.5+05:30", "2023-12-31T18:35:06.5Z"],
    ["infinity", "infinity"],
    ["0044-03-15 12:00:00+00 BC", "0044-03-15 12:00:00+00 BC"],
  ])("the instant %s is %s", (text, value) => {
    expect(isoInstant(text)).toBe(value);
  });

  test("a time without a zone gets none", () => {
    expect(isoLocal("2024-02-03 04:05:06.7")).toBe("2024-02-03T04:05:06.7");
    expect(isoLocal("-infinity")).toBe("-infinity");
  });
});

describe("a result", () => {
  test("is the last statement's, and has each statement by its number", () => {
    const first = { columns: ["a"], rows: [{ a: 1 }], row_count: 1 };
    const last = { columns: [], rows: [], row_count: 7 };
    expect(sqlResult([first, last])).toEqual({ ...last, command_0: first, command_1: last });
    expect(sqlResult([])).toEqual({ columns: [], rows: [], row_count: 0 });
  });

  test("that nests too deep is refused", () => {
    let deep: unknown = 1;
    for (let depth = 0; depth < 64; depth += 1) deep = [deep];
    const one = { columns: ["a"], rows: [{ a: deep as string }], row_count: 1 };
    expect(() => sqlResult([one])).toThrow(Fault);
  });

  test("two columns of one name are told apart", () => {
    expect(distinctNames(["id", "id", "id_2", "id"])).toEqual(["id", "id_2", "id_2_2", "id_3"]);
  });
});
