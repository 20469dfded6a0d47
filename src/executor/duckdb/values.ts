/** How each type of DuckDB reads as JSON, and what a parameter is bound as. */
import type * as Api from "@duckdb/node-api";
import type { Json } from "../../base/json.ts";
import { exactJson, exactNumber, finiteNumber, isoInstant, isoLocal } from "../sql/result.ts";

export type ReadValue = (value: Api.DuckDBValue, type: Api.DuckDBType) => Json;

/**
 * Makes the reader of values. Numbers that a JSON number holds exactly are numbers; what has no word in JSON
 * is text, as DuckDB prints it.
 */
export function createReader(api: typeof Api): ReadValue {
  const read: ReadValue = (value, type) => {
    if (value === null || typeof value === "boolean") return value;
    if (typeof value === "number") {
      return type.typeId === api.DuckDBTypeId.FLOAT ? shortFloat(value) : finiteNumber(value);
    }
    if (typeof value === "bigint") return exactNumber(String(value));
    if (typeof value === "string") return type.alias === "JSON" ? exactJson(value) : value;
    if (value instanceof api.DuckDBDecimalValue) return exactNumber(String(value));
    if (value instanceof api.DuckDBBlobValue) return Buffer.from(value.bytes).toString("base64");
    if (value instanceof api.DuckDBTimestampTZValue) return isoInstant(String(value));
    return nested(value, type) ?? isoLocal(String(value));
  };

  /** Lists, structs as objects, maps as objects where their keys are text, unions as what they hold. */
  const nested = (value: Api.DuckDBValue, type: Api.DuckDBType): Json | undefined => {
    const ids = api.DuckDBTypeId;
    if (value instanceof api.DuckDBListValue && type.typeId === ids.LIST) {
      return value.items.map((item) => read(item, type.valueType));
    }
    if (value instanceof api.DuckDBArrayValue && type.typeId === ids.ARRAY) {
      return value.items.map((item) => read(item, type.valueType));
    }
    if (value instanceof api.DuckDBStructValue && type.typeId === ids.STRUCT) {
      const { entries } = value;
      return Object.fromEntries(
        type.entryNames.map((name) => [name, read(entries[name] ?? null, type.typeForEntry(name))]),
      );
    }
    if (value instanceof api.DuckDBMapValue && type.typeId === ids.MAP) {
      const { keyType, valueType } = type;
      const { entries } = value;
      if (keyType.typeId === ids.VARCHAR) {
        return Object.fromEntries(
          entries.map((one) => [String(one.key), read(one.value, valueType)]),
        );
      }
      return entries.map((one) => ({
        key: read(one.key, keyType),
        value: read(one.value, valueType),
      }));
    }
    if (value instanceof api.DuckDBUnionValue && type.typeId === ids.UNION) {
      return read(value.value, type.memberTypeForTag(value.tag));
    }
    return undefined;
  };
  return read;
}

/** A FLOAT has the digits of 32 bits: `0.1`, not `0.10000000149011612`. */
function shortFloat(value: number): number | string {
  for (let digits = 6; digits < 9; digits += 1) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === value) return finiteNumber(short);
  }
  return finiteNumber(value);
}

/** A list or a mapping is bound as JSON text, which DuckDB casts to JSON and to lists. */
export function bindValue(
  statement: Api.DuckDBPreparedStatement,
  index: number,
  value: Json,
): void {
  if (value === null) statement.bindNull(index);
  else if (typeof value === "boolean") statement.bindBoolean(index, value);
  else if (typeof value === "string") statement.bindVarchar(index, value);
  else if (typeof value !== "number") statement.bindVarchar(index, JSON.stringify(value));
  else if (!Number.isSafeInteger(value)) statement.bindDouble(index, value);
  else if (Math.abs(value) < 2 ** 31) statement.bindInteger(index, value);
  else statement.bindBigInt(index, BigInt(value));
}
