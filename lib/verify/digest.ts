/**
 * How rows become digests, in SQL that means the same on every server. Pure.
 *
 * @module
 */
import { quoteIdentifier } from "../core/mod.ts";
import type { ComparedColumn } from "./plan.ts";
import type { DigestMethod } from "./report.ts";

/** The alias under which a scan sees the rows. */
export const rowAlias = "seren_row";

/** A column of the row that is scanned. */
export function columnReference({ name }: { readonly name: string }): string {
  return `${rowAlias}.${quoteIdentifier(name)}`;
}

/**
 * A 64-bit hash of a row, as `bigint`.
 *
 * Each value is taken as its type sends it in the binary protocol. Built-in types give their binary form, which does not depend on any setting
 * and keeps what their `=` overlooks (-0, the scale of a numeric). All others give their text: the binary form of enums, composites
 * and the like holds OIDs, which differ between servers. Texts are sent in the client's encoding, UTF8. As elements of an array the
 * values cannot run into each other, and NULL is none of them.
 *
 * `hash_array_extended` over `bytea`s is the way to the server's 64-bit hash of bytes that all versions have. Never the hash of
 * numbers: it folds 64 bits into 32 (`hashint8extended(1, 0) = hashint8extended(4294967296, 0)`), and so does that of a record.
 *
 * The hash of an array is a linear function of those of its elements, by which sums over rows would not notice values that swap rows. Hashed once
 * more it is none.
 */
export function rowHash(columns: readonly ComparedColumn[], method: DigestMethod): string {
  const values = columns.map((column) =>
    method === "columns" ? `pg_catalog.textsend(${valueDigest(column)})` : sent(column)
  );
  const row = `ARRAY[${values.join(", ")}]::bytea[]`;
  if (method === "md5") {
    return `('x' || pg_catalog.substr(pg_catalog.md5(pg_catalog.array_send(${row})), 1, 16))::bit(64)::bigint`;
  }
  return hashOf(`pg_catalog.int8send(${hashOf(row)})`);
}

function hashOf(value: string): string {
  const array = value.startsWith("ARRAY[") ? value : `ARRAY[${value}]`;
  return `pg_catalog.hash_array_extended(${array}, 0)`;
}

/** A value's bytes. */
function sent(column: ComparedColumn): string {
  const reference = columnReference(column);
  if (column.send === undefined) return `pg_catalog.textsend(${reference}::text)`;
  return column.send === "byteasend"
    ? reference
    : `pg_catalog.${quoteIdentifier(column.send)}(${reference})`;
}

/** MD5 of one value, NULL for NULL: what differs between rows of the same key is found by this. */
export function valueDigest(column: ComparedColumn): string {
  return `pg_catalog.md5(${sent(column)})`;
}

/** Whether two servers give the same hashes: they do not where one is big-endian. */
export const hashSample = `
  SELECT string_agg(pg_catalog.hash_array_extended(ARRAY[pg_catalog.int4send(i),
           pg_catalog.int8send(i::bigint << 33), pg_catalog.textsend(repeat('aä', i)), NULL,
           pg_catalog.float8send(i / 8.0::float8)], 0)::text, ' ' ORDER BY i) AS hashes
    FROM generate_series(0, 40) AS i`;
