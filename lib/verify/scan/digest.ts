/**
 * SQL expressions that compute digests of rows, with the same result on every server. Pure.
 *
 * @module
 */
import { quoteIdentifier } from "../../core/internal.ts";
import type { ComparedColumn } from "../plan/columns.ts";
import type { DigestMethod } from "../report/report.ts";
import { charArrayText, charText, outputText } from "../plan/type_shapes.ts";

/** The alias of the rows in a scan. */
export const rowAlias = "seren_row";

/** A reference to a column of the scanned row. */
export function columnReference({ name }: { readonly name: string }): string {
  return `${rowAlias}.${quoteIdentifier(name)}`;
}

/**
 * A 64-bit hash of a row, as `bigint`.
 *
 * Each value is hashed by the server's 64-bit hash of bytes, seeded with the hash of the preceding
 * values. Values therefore cannot run together whatever they contain, and swapping two values
 * changes the hash. NULL is represented by a fixed random constant.
 *
 * The function names that work in versions 12 to 18 are `hashtextextended`, `uuid_hash_extended`
 * and, for `bytea`, `hash_array_extended` of a one-element array. The server's hash of integers is
 * never used, since it folds 64 bits into 32 (`hashint8extended(1, 0) =
 * hashint8extended(4294967296, 0)`), as does the hash of a record. An integer is combined with the
 * seed instead, which is mixed in completely.
 *
 * Built-in types contribute their stored value, including what `=` ignores (-0, the scale of a
 * numeric), because no setting affects it. All other types contribute their text: the binary form
 * of enums and composites contains OIDs, which differ between servers, and that of arrays contains
 * details that a copy cannot preserve. Text always comes from the type's output function. Casts may
 * be user-defined, and so may the operators, comparison and hash functions of any type that is not
 * built in, so these expressions use none of them.
 */
export function rowHash(columns: readonly ComparedColumn[], method: DigestMethod): string {
  if (method === "hash") return chainedHash(columns);
  const values = columns.map((column) =>
    method === "columns" ? `pg_catalog.textsend(${valueDigest(column)})` : sent(column)
  );
  const row = `ARRAY[${values.join(", ")}]::pg_catalog.bytea[]`;
  if (method === "md5") {
    return `('x' || pg_catalog.substr(pg_catalog.md5(pg_catalog.array_send(${row})), 1, 16))::bit(64)::bigint`;
  }
  // an array's hash is linear in the hashes of its elements: without another hash, sums over rows
  // would not detect values swapped between rows
  return `pg_catalog.hash_array_extended(ARRAY[pg_catalog.int8send(
    pg_catalog.hash_array_extended(${row}, 0))], 0)`;
}

/** Limits the nesting of expressions, because a server's stack is limited. */
const columnsPerChain = 40;

function chainedHash(columns: readonly ComparedColumn[]): string {
  let hash: Link = { hash: "0::bigint", isOpen: false };
  for (let from = 0; from < columns.length; from += columnsPerChain) {
    const chain = columns.slice(from, from + columnsPerChain)
      .reduce(link, { hash: `${from}::bigint`, isOpen: false });
    hash = from === 0 ? chain : withNumber(hash, closed(chain));
  }
  return closed(hash);
}

/** The hash of the preceding columns. */
interface Link {
  readonly hash: string;
  /**
   * Whether a number was combined with it but not yet mixed in. The next hash mixes it in; another
   * number before that could cancel it out.
   */
  readonly isOpen: boolean;
}

function link(before: Link, column: ComparedColumn): Link {
  const value = columnReference(column);
  const orElse = (expression: string, otherwise: string) =>
    column.isNotNull ? expression : `COALESCE(${expression}, ${otherwise})`;
  switch (column.form) {
    case "integer":
      return withNumber(before, orElse(`${value}::bigint`, nullNumber));
    case "small":
      return withNumber(before, orElse(`${value}::int::bigint`, nullNumber));
    case "date":
      // infinite dates have no distance
      return withNumber(
        before,
        orElse(
          `CASE WHEN pg_catalog.isfinite(${value}::pg_catalog.date) THEN (${value}::pg_catalog.date - pg_catalog.date '2000-01-01')::bigint
                WHEN ${value}::pg_catalog.date > pg_catalog.date '2000-01-01' THEN 9999999999
                WHEN ${value}::pg_catalog.date < pg_catalog.date '2000-01-01' THEN -9999999999 END`,
          nullNumber,
        ),
      );
    case "moment":
      return withMoment(before, column);
    case "float":
      return withNumber(before, floatNumber(column));
    case "text":
      return withText(before, orElse(valueText(column), `'${nullText}'`));
    case "uuid":
      return {
        hash: `pg_catalog.uuid_hash_extended(${
          orElse(`${value}::pg_catalog.uuid`, `'${nullText}'`)
        }, ${before.hash})`,
        isOpen: false,
      };
    case "fixed":
      return withText(
        before,
        orElse(`pg_catalog.encode(${sent(column)}, 'hex')`, `'${nullText}'`),
      );
    case "bytes":
      return {
        hash: `pg_catalog.hash_array_extended(ARRAY[${
          orElse(sent(column), `'${nullText}'::pg_catalog.bytea`)
        }], ${before.hash})`,
        isOpen: false,
      };
  }
}

/**
 * Stand-ins for NULL. A value equals one no more likely than two hashes collide. The text is a
 * UUID.
 */
const nullNumber = "-6042897352167238451";
const nullText = "9d1c7b0e-52f3-4a86-b1d9-0f6e83c2a75b";
/** Not the distance between any two timestamps, in seconds. */
const nullDistance = "7.4029316485028317e-198::pg_catalog.float8";

/** Stands for every NaN; a fixed random constant. */
const nanNumber = "5160493787212648097";
/** Seed for the hash of a float; a fixed random constant. */
const floatSeed = "1947036582274913087";

/**
 * A timestamp contributes its distance in seconds from a fixed one. `tstzrange_subdiff` (see
 * "Defining New Range Types") computes it without calendar arithmetic as `double precision`, which
 * is distinct for any two timestamps within 272 years. All others, including infinite ones,
 * additionally contribute their binary form.
 */
function withMoment(before: Link, column: ComparedColumn): Link {
  const [type, distanceOf] = column.send === "timestamp_send"
    ? ["timestamp", "tsrange_subdiff"]
    : ["timestamptz", "tstzrange_subdiff"];
  const value = `${columnReference(column)}::${type}`;
  // explicit UTC: independent of the session's time zone
  const [first, last] = ["1860-01-01 00:00:00+00", "2132-01-01 00:00:00+00"]
    .map((moment) => `${type} '${moment}'`);
  const distance = `pg_catalog.${distanceOf}(${value}, ${first})`;
  const [bare, otherwise] = column.isNotNull
    ? [distance, ""]
    : [`COALESCE(${distance}, ${nullDistance})`, ` WHEN ${value} IS NULL THEN 0::bigint`];
  return {
    hash: `pg_catalog.hashfloat8extended(${bare}, ${closed(before)} # CASE WHEN ${value} > ${first}
             AND ${value} < ${last} THEN 0::bigint${otherwise}
             ELSE pg_catalog.hash_array_extended(ARRAY[${sent(column)}], 0) END)`,
    // for distance 0 the server's hash is the seed itself
    isOpen: true,
  };
}

/**
 * The server's hash of a float, which is the hash of its bytes except for 0, -0 and the various
 * representations of NaN.
 */
function floatNumber(column: ComparedColumn): string {
  const type = column.send === "float4send" ? "float4" : "float8";
  const value = `${columnReference(column)}::${type}`;
  // a NaN may have a sign, which its text does not show
  return `CASE WHEN ${value} <> 0::${type} AND ${value} <> ${type} 'NaN'
      THEN pg_catalog.hash${type}extended(${value}, ${floatSeed})${
    column.isNotNull ? "" : ` WHEN ${value} IS NULL THEN ${nullNumber}`
  } WHEN ${value} = ${type} 'NaN' THEN ${nanNumber}
    ELSE pg_catalog.hash_array_extended(ARRAY[${sent(column)}], ${floatSeed}) END`;
}

function withNumber(before: Link, number: string): Link {
  return { hash: `${closed(before)} # ${number}`, isOpen: true };
}

/** Hashes the bytes, regardless of the column's collation. */
function withText({ hash }: Link, text: string): Link {
  return {
    hash: `pg_catalog.hashtextextended(${text} COLLATE pg_catalog."C", ${hash})`,
    isOpen: false,
  };
}

function closed(link: Link): string {
  return link.isOpen ? withText(link, "''").hash : link.hash;
}

/** A value's bytes; for a float those of its text, which does not contain the sign of a NaN. */
function sent(column: ComparedColumn): string {
  const reference = columnReference(column);
  const { send, form } = column;
  if (send === undefined || form === "float") {
    const text = valueText(column);
    return column.isConverted
      ? `pg_catalog.convert_to(${text}, pg_catalog.getdatabaseencoding())`
      : `pg_catalog.textsend(${text})`;
  }
  return send === "byteasend"
    ? `${reference}::pg_catalog.bytea`
    : `pg_catalog.${quoteIdentifier(send)}(${reference})`;
}

/**
 * A value as text that is comparable between the sides; NULL for NULL. Servers before 15 print a
 * `"char"` above 127 as is, later ones as `\\351`.
 */
export function valueText(
  column: Pick<
    ComparedColumn,
    "name" | "send" | "output" | "isCharArray" | "sourceText"
  >,
  reference: string = columnReference(column),
): string {
  // the scan already yields text
  if (column.sourceText !== undefined) return reference;
  if (column.send === "charsend") return charText(reference);
  if (column.isCharArray) return charArrayText(reference);
  switch (column.output) {
    case undefined:
      return outputText(reference);
    case "textout":
    case "varcharout":
    case "bpcharout": // without its padding, which its = ignores too
      return `${reference}::pg_catalog.text`;
    default:
      return `pg_catalog.textin(pg_catalog.${quoteIdentifier(column.output)}(${reference}))`;
  }
}

/** MD5 of one value; NULL for NULL. Finds the differing columns of two rows with the same key. */
export function valueDigest(column: ComparedColumn): string {
  return `pg_catalog.md5(${sent(column)})`;
}

/** Detects servers whose hash functions differ, because one is big-endian. */
export const hashSample = `
  SELECT pg_catalog.string_agg(pg_catalog.concat_ws(' ',
           pg_catalog.hashtextextended('' COLLATE pg_catalog."C", i::bigint << 33),
           pg_catalog.hashtextextended(pg_catalog.repeat('aä', i) COLLATE pg_catalog."C", 7 - i),
           pg_catalog.uuid_hash_extended(pg_catalog.md5(pg_catalog.format('%s', i))::pg_catalog.uuid, i),
           pg_catalog.hash_array_extended(ARRAY[pg_catalog.float8send(i / 8.0::pg_catalog.float8)], i),
           pg_catalog.hashfloat8extended(pg_catalog.tstzrange_subdiff(
             pg_catalog.timestamptz '2026-01-01 00:00:00+00' + i * interval '59:59:59.999999',
             pg_catalog.timestamptz '1860-01-01 00:00:00+00'), i),
           pg_catalog.hashfloat8extended(pg_catalog.tsrange_subdiff(
             timestamp '2026-01-01' + i * interval '59:59:59.999999', timestamp '1860-01-01'), i),
           pg_catalog.hashfloat4extended((i / 7.0)::pg_catalog.float4, i)), ' ' ORDER BY i) AS hashes
    FROM pg_catalog.generate_series(0, 40) AS i`;
