/**
 * Compares SQL that servers print from their catalogs. Pure.
 *
 * @module
 */
import { normalForm, tokensOf } from "./normal_form.ts";

/** SQL and the major version of the server that printed it. */
export interface PrintedSql {
  readonly text: string;
  readonly majorVersion: number;
}

/**
 * Whether two definitions are equal: compares the tokens of their normal forms. Servers since 16
 * omit the qualifier of columns in queries with a single relation, so an additional qualifier from
 * an older server is ignored.
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

/** A qualified name, not a literal or number. */
function isColumn(token: string): boolean {
  return /^["\p{L}_].*\./su.test(token) && !token.endsWith("'");
}

/**
 * Functions with special syntax, which servers since 14 print as written and older ones as a call.
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
 * Whether these may be the same expression, printed by a server before 14 and a later one.
 */
export function maySpellTheSame(one: PrintedSql, other: PrintedSql): boolean {
  const versions = [one.majorVersion, other.majorVersion];
  if (Math.min(...versions) >= 14 || Math.max(...versions) < 14) return false;
  return [one, other].some(({ text }) =>
    tokensOf(text).some((token) => spelledTwice.has(token.toLowerCase().replaceAll('"', "")))
  );
}
