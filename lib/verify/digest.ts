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
 * A row is taken as `record_send` writes it: for each column its length, or that it is NULL, and its bytes, so that no two rows look
 * the same. Built-in types give their binary form, which does not depend on any setting and keeps what their `=` overlooks
 * (-0, the scale of a numeric). All others give their text: the binary form of enums, composites and the like holds OIDs, which differ
 * between servers. Texts are sent in the client's encoding, UTF8.
 *
 * `hash_array_extended` over an array of that one value is the way to the server's 64-bit hash of bytes that all versions have. Never the hash of
 * numbers: it folds 64 bits into 32 (`hashint8extended(1, 0) = hashint8extended(4294967296, 0)`), and so does that of a record.
 */
export function rowHash(columns: readonly ComparedColumn[], method: DigestMethod): string {
  const row = `pg_catalog.record_send(ROW(${
    columns.map((column) => method === "columns" ? valueDigest(column) : valueOf(column)).join(", ")
  }))`;
  return method === "md5"
    ? `('x' || pg_catalog.substr(pg_catalog.md5(${row}), 1, 16))::bit(64)::bigint`
    : `pg_catalog.hash_array_extended(ARRAY[${row}], 0)`;
}

function valueOf(column: ComparedColumn): string {
  return column.isBinary ? columnReference(column) : `${columnReference(column)}::text`;
}

/** MD5 of one value, NULL included: what differs between rows of the same key is found by this. */
export function valueDigest(column: ComparedColumn): string {
  return `pg_catalog.md5(pg_catalog.record_send(ROW(${valueOf(column)})))`;
}

/** Whether two servers give the same hashes: they do not where one is big-endian. */
export const hashSample = `
  SELECT string_agg(pg_catalog.hash_array_extended(ARRAY[pg_catalog.record_send(
           ROW(i, i::bigint << 33, repeat('aä', i), NULL::text, i / 8.0::float8))], 0)::text, ' ' ORDER BY i) AS hashes
    FROM generate_series(0, 40) AS i`;
