/**
 * How rows become digests, in SQL that means the same on every server. Pure.
 *
 * @module
 */
import { quoteIdentifier } from "../../core/internal.ts";
import type { ComparedColumn } from "../plan/columns.ts";
import type { DigestMethod } from "../report/report.ts";
import { charArrayText, charText, outputText } from "../plan/type_shapes.ts";

/** The alias under which a scan sees the rows. */
export const rowAlias = "seren_row";

/** A column of the row that is scanned. */
export function columnReference({ name }: { readonly name: string }): string {
  return `${rowAlias}.${quoteIdentifier(name)}`;
}

/**
 * A 64-bit hash of a row, as `bigint`.
 *
 * The values go one after the other through the server's 64-bit hash of bytes, each with the hash
 * of those before it as the seed. So they cannot run into each other whatever they contain, and
 * values that change places change the hash. NULL goes in as something that was drawn by lot.
 *
 * By the names that versions 12 to 18 have in common that hash is `hashtextextended`,
 * `uuid_hash_extended` and, for `bytea`, `hash_array_extended` of an array of one. Never the
 * server's hash of numbers: it folds 64 bits into 32 (`hashint8extended(1, 0) =
 * hashint8extended(4294967296, 0)`), and so does that of a record. A number goes in with the seed,
 * which is mixed in whole.
 *
 * Built-in types give what they store (-0, the scale of a numeric, which their `=` overlooks), as
 * no setting changes it. All others give their text: the binary form of enums, composites and the
 * like holds OIDs, which differ between servers, and that of arrays what no copy can keep. Text is
 * always that of the type's output function. A cast may be a user's, and so may be the operators,
 * the comparison and the hash function of any type that the server does not bring itself: none of
 * them is in these expressions.
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
  // the hash of an array is linear in those of its elements: sums over rows would not notice values
  // that swap rows
  return `pg_catalog.hash_array_extended(ARRAY[pg_catalog.int8send(
    pg_catalog.hash_array_extended(${row}, 0))], 0)`;
}

/** Columns in one expression within another: a server's stack is limited. */
const columnsOfChain = 40;

function chainedHash(columns: readonly ComparedColumn[]): string {
  let hash: Link = { hash: "0::bigint", isOpen: false };
  for (let from = 0; from < columns.length; from += columnsOfChain) {
    const chain = columns.slice(from, from + columnsOfChain)
      .reduce(link, { hash: `${from}::bigint`, isOpen: false });
    hash = from === 0 ? chain : withNumber(hash, closed(chain));
  }
  return closed(hash);
}

/** What has been hashed so far. */
interface Link {
  readonly hash: string;
  /**
   * Whether a number was only added to it: the next hash mixes it in, and a second one before that
   * would run into it.
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
      // only finite ones have a distance
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
 * Instead of NULL: a value of a column is the same no sooner than two hashes are. Its text is a
 * UUID.
 */
const nullNumber = "-6042897352167238451";
const nullText = "9d1c7b0e-52f3-4a86-b1d9-0f6e83c2a75b";
/** No distance of two moments, in seconds. */
const nullDistance = "7.4029316485028317e-198::pg_catalog.float8";

/** Instead of any NaN, drawn by lot. */
const nanNumber = "5160493787212648097";
/** Of a float's hash, drawn by lot. */
const floatSeed = "1947036582274913087";

/**
 * A moment goes in as its distance from another one, in seconds. `tstzrange_subdiff` (Range Types,
 * "Defining New Range Types") gives that without regard to calendars, as `double precision`: no two
 * moments within 272 years have the same one. All others, infinite ones among them, go in by their
 * binary form besides.
 */
function withMoment(before: Link, column: ComparedColumn): Link {
  const [type, distanceOf] = column.send === "timestamp_send"
    ? ["timestamp", "tsrange_subdiff"]
    : ["timestamptz", "tstzrange_subdiff"];
  const value = `${columnReference(column)}::${type}`;
  // UTC by name, since a session's time zone may be any
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
    // of the distance 0 the server's hash is the seed itself
    isOpen: true,
  };
}

/**
 * The server's hash of a float, which is that of its bytes but for 0 and -0, and for NaNs of
 * several forms.
 */
function floatNumber(column: ComparedColumn): string {
  const type = column.send === "float4send" ? "float4" : "float8";
  const value = `${columnReference(column)}::${type}`;
  // a NaN may have a sign, which no text keeps
  return `CASE WHEN ${value} <> 0::${type} AND ${value} <> ${type} 'NaN'
      THEN pg_catalog.hash${type}extended(${value}, ${floatSeed})${
    column.isNotNull ? "" : ` WHEN ${value} IS NULL THEN ${nullNumber}`
  } WHEN ${value} = ${type} 'NaN' THEN ${nanNumber}
    ELSE pg_catalog.hash_array_extended(ARRAY[${sent(column)}], ${floatSeed}) END`;
}

function withNumber(before: Link, number: string): Link {
  return { hash: `${closed(before)} # ${number}`, isOpen: true };
}

/** By bytes, whatever the column's collation. */
function withText({ hash }: Link, text: string): Link {
  return {
    hash: `pg_catalog.hashtextextended(${text} COLLATE pg_catalog."C", ${hash})`,
    isOpen: false,
  };
}

function closed(link: Link): string {
  return link.isOpen ? withText(link, "''").hash : link.hash;
}

/** A value's bytes; of a float those of its text, which a NaN's sign is not in. */
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
 * A value as text that means the same on both sides, NULL for NULL. A `"char"` of more than 7 bits
 * is printed as it is by servers before 15, and as `\\351` since then.
 */
export function valueText(
  column: Pick<
    ComparedColumn,
    "name" | "send" | "output" | "isCharArray" | "sourceText"
  >,
  reference: string = columnReference(column),
): string {
  // already text where it comes from
  if (column.sourceText !== undefined) return reference;
  if (column.send === "charsend") return charText(reference);
  if (column.isCharArray) return charArrayText(reference);
  switch (column.output) {
    case undefined:
      return outputText(reference);
    case "textout":
    case "varcharout":
    case "bpcharout": // without the blanks that it is filled up with, as its = sees it
      return `${reference}::pg_catalog.text`;
    default:
      return `pg_catalog.textin(pg_catalog.${quoteIdentifier(column.output)}(${reference}))`;
  }
}

/** MD5 of one value, NULL for NULL: what differs between rows of the same key is found by this. */
export function valueDigest(column: ComparedColumn): string {
  return `pg_catalog.md5(${sent(column)})`;
}

/** Whether two servers give the same hashes: they do not where one is big-endian. */
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
