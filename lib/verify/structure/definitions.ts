/**
 * Whether two pieces of SQL that servers have printed from their catalogs say the same. Pure.
 *
 * @module
 */
import { normalForm, tokensOf } from "./normal_form.ts";

/** A piece of SQL and the version of the server that printed it. */
export interface PrintedSql {
  readonly text: string;
  readonly majorVersion: number;
}

/**
 * Compares token by token: white space does not count. From 16 on a server leaves out the qualifier
 * of a column where a query has one relation only; what an older one prints more is passed over.
 * What still differs is compared in its normal form.
 */
export function sameSql(one: PrintedSql, other: PrintedSql): boolean {
  if (one.text === other.text) return true;
  const [older, newer] = one.majorVersion <= other.majorVersion ? [one, other] : [other, one];
  const fewerQualifiers = older.majorVersion < 16 && newer.majorVersion >= 16;
  const [a, b] = [normalForm(older.text), normalForm(newer.text)];
  return a.length === b.length &&
    a.every((token, at) =>
      token === b[at] || fewerQualifiers && isColumn(token) && token.endsWith(`.${b[at]}`)
    );
}

/** A qualified name, and no literal or number. */
function isColumn(token: string): boolean {
  return /^["\p{L}_].*\./su.test(token) && !token.endsWith("'");
}

/**
 * Functions that have a syntax of their own: from 14 on it is printed as it was written, before as
 * a call.
 */
const spelledTwice: ReadonlySet<string> = new Set([
  "at",
  "timezone",
  "extract",
  "date_part",
  "overlaps",
  "normalize",
  "normalized",
  "collation",
  "pg_collation_for",
  "overlay",
  "position",
  "substring",
  "trim",
  "btrim",
  "ltrim",
  "rtrim",
  "xmlexists",
]);

/**
 * Whether a server before 14 and a later one may print the same expression as these two texts; if
 * not, they differ.
 */
export function maySpellTheSame(one: PrintedSql, other: PrintedSql): boolean {
  const versions = [one.majorVersion, other.majorVersion];
  if (Math.min(...versions) >= 14 || Math.max(...versions) < 14) return false;
  return [one, other].some(({ text }) =>
    tokensOf(text).some((token) => spelledTwice.has(token.toLowerCase().replaceAll('"', "")))
  );
}
