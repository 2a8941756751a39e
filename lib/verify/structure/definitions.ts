/**
 * Whether two pieces of SQL that servers have printed from their catalogs say the same. Pure.
 *
 * @module
 */
import { type Token, tokenize } from "../../core/mod.ts";

/** A piece of SQL and the version of the server that printed it. */
export interface PrintedSql {
  readonly text: string;
  readonly majorVersion: number;
}

/**
 * Compares token by token: white space does not count. From 16 on a server leaves out the qualifier of a column where a query
 * has one relation only; what an older one prints more is passed over.
 */
export function sameSql(one: PrintedSql, other: PrintedSql): boolean {
  const [older, newer] = one.majorVersion <= other.majorVersion ? [one, other] : [other, one];
  const fewerQualifiers = older.majorVersion < 16 && newer.majorVersion >= 16;
  const [a, b] = [tokensOf(older.text), tokensOf(newer.text)];
  let at = 0;
  for (let i = 0; i < a.length; i++, at++) {
    while (fewerQualifiers && a[i + 1] === "." && isName(a[i]!) && b[at + 1] !== ".") i += 2;
    if (a[i] !== b[at]) return false;
  }
  return at === b.length;
}

/** Functions that have a syntax of their own: from 14 on it is printed as it was written, before as a call. */
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

/** Whether versions may print the same expression as these two texts; if not, they differ. Of no use for queries. */
export function maySpellTheSame(one: string, other: string): boolean {
  return [one, other].some((text) =>
    tokensOf(text).some((token) => spelledTwice.has(token.toLowerCase().replaceAll('"', "")))
  );
}

function tokensOf(text: string): readonly string[] {
  const isWord = ({ kind }: Token) => kind !== "space";
  return [...tokenize(text)].filter(isWord).map(({ start, end }) => text.slice(start, end));
}

function isName(token: string): boolean {
  return /^["\p{L}_]/u.test(token);
}
