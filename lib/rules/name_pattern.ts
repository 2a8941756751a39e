/**
 * Table names with wildcards, as users write them: parsing, printing, matching. Pure.
 *
 * @module
 */
import { plural, suggest } from "../core/internal.ts";

/**
 * One part of a name: the literal text around its wildcards. `["orders"]` is one name, `["app_",
 * ""]` is `app_*`, `["", ""]` is `*`.
 */
export type PartPattern = readonly string[];

/** Matches tables; names are neither folded nor quoted. */
export interface TablePattern {
  /** Undefined: every database. */
  readonly database: PartPattern | undefined;
  /** Pattern of the schema name; `["public"]` by default. */
  readonly schema: PartPattern;
  /** Pattern of the table name. */
  readonly table: PartPattern;
}

/** A parsed value, or the problem with the text. */
export type Reading<Value> = { readonly value: Value } | { readonly problem: string };

/** PostgreSQL's limit for identifiers (NAMEDATALEN - 1). */
const maxBytes = 63;

/** The default schema. */
const publicSchema: PartPattern = ["public"];

/** The only name that a part matches; undefined when it has a wildcard. */
export function literalOf(part: PartPattern): string | undefined {
  return part.length === 1 ? part[0] : undefined;
}

/** Whether the part matches a name, case-sensitively, as in the catalogs. */
function matchesPart([first = "", ...rest]: PartPattern, name: string): boolean {
  if (rest.length === 0) return name === first;
  const last = rest[rest.length - 1] ?? "";
  if (name.length < first.length + last.length) return false;
  if (!name.startsWith(first) || !name.endsWith(last)) return false;
  let at = first.length;
  const end = name.length - last.length;
  // the leftmost match is always sufficient, because a wildcard matches anything in between
  for (const text of rest.slice(0, -1)) {
    const found = name.indexOf(text, at);
    if (found < 0 || found + text.length > end) return false;
    at = found + text.length;
  }
  return true;
}

/** A table's full name. */
export interface TablePlace {
  readonly database: string;
  readonly schema: string;
  readonly name: string;
}

/** Whether the pattern matches a table. */
export function matchesTable(
  { database, schema, table }: TablePattern,
  place: TablePlace,
): boolean {
  return (database === undefined || matchesPart(database, place.database)) &&
    matchesPart(schema, place.schema) && matchesPart(table, place.name);
}

/** Whether some table could match both patterns. */
export function patternsOverlap(a: TablePattern, b: TablePattern): boolean {
  const databases = a.database === undefined || b.database === undefined ||
    partsOverlap(a.database, b.database);
  return databases && partsOverlap(a.schema, b.schema) && partsOverlap(a.table, b.table);
}

/** Whether some name could match both parts. */
export function partsOverlap(a: PartPattern, b: PartPattern): boolean {
  const symbols = (part: PartPattern) =>
    part.flatMap((text, index) => [...(index === 0 ? [] : [undefined]), ...text]);
  const [left, right] = [symbols(a), symbols(b)];
  // reachable[j]: the first i symbols of one part can match the same text as the first j of the
  // other
  let reachable = right.reduce<boolean[]>(
    (row, symbol, j) => [...row, row[j]! && symbol === undefined],
    [true],
  );
  for (const symbol of left) {
    const next = [reachable[0]! && symbol === undefined];
    for (const [j, other] of right.entries()) {
      next.push(
        symbol === undefined || other === undefined
          ? reachable[j + 1]! || next[j]!
          : symbol === other && reachable[j]!,
      );
    }
    reachable = next;
  }
  return reachable.at(-1)!;
}

/** A part as text that parses to the same part. */
export function printPart(part: PartPattern): string {
  return part.map(printText).join("*");
}

/**
 * A pattern as text that parses to the same pattern, as a filter (with a database) or as a rule.
 */
export function printPattern({ database, schema, table }: TablePattern): string {
  return [...(database === undefined ? [] : [database]), schema, table].map(printPart).join(".");
}

/** A table's full name for messages and filters: `app.public.orders`. */
function printPlace({ database, schema, name }: TablePlace): string {
  return [database, schema, name].map(printText).join(".");
}

function printText(text: string): string {
  return /^[\p{L}\p{M}\p{N}_$-]*$/u.test(text) ? text : `"${text.replaceAll('"', '""')}"`;
}

/**
 * Parses a value of `--include-tables` or `--exclude-tables`: `database.table` (in schema `public`)
 * or `database.schema.table`. Parts may be double-quoted; `*` outside quotes matches any
 * characters.
 */
export function readFilterPattern(text: string): Reading<TablePattern> {
  const read = readParts(text);
  if ("problem" in read) return read;
  const [first, second, third, ...more] = read.value;
  if (first === undefined || second === undefined) {
    return {
      problem: `${
        quotedPattern(text)
      } does not name a database: write database.table or database.schema.table`,
    };
  }
  if (more.length > 0) return { problem: tooManyParts(text, read.value.length) };
  return {
    value: third === undefined
      ? { database: first, schema: publicSchema, table: second }
      : { database: first, schema: second, table: third },
  };
}

/**
 * Parses the table name of a rule: `table` (in schema `public`), `schema.table` or
 * `database.schema.table`. Without a database it matches in every database.
 */
export function readRulePattern(text: string): Reading<TablePattern> {
  const read = readParts(text);
  if ("problem" in read) return read;
  const [first, second, third, ...more] = read.value;
  if (first === undefined) return { problem: "an empty table name" };
  if (more.length > 0) return { problem: tooManyParts(text, read.value.length) };
  return {
    value: second === undefined
      ? { database: undefined, schema: publicSchema, table: first }
      : third === undefined
      ? { database: undefined, schema: first, table: second }
      : { database: first, schema: second, table: third },
  };
}

/** Parses a single part with wildcards, such as a database name; a dot is an ordinary character. */
export function readPartPattern(text: string): Reading<PartPattern> {
  const { fields, problem } = splitOutsideQuotes(text, "");
  if (problem !== undefined) return { problem };
  return part(fields[0] ?? [""], text);
}

function readParts(text: string): Reading<readonly PartPattern[]> {
  const { fields, problem } = splitOutsideQuotes(text.trim(), ".");
  if (problem !== undefined) return { problem };
  const parts: PartPattern[] = [];
  for (const field of fields) {
    const read = part(field, text);
    if ("problem" in read) return read;
    parts.push(read.value);
  }
  return { value: parts };
}

function part(texts: readonly string[], whole: string): Reading<PartPattern> {
  if (texts.length === 1 && texts[0] === "") {
    return {
      problem: whole.trim() === ""
        ? "an empty table name"
        : `${quotedPattern(whole)} has an empty part`,
    };
  }
  if (texts.some((text) => text.includes("\0"))) {
    return { problem: `${quotedPattern(whole)} contains a NUL character` };
  }
  const bytes = new TextEncoder().encode(texts.join("")).length;
  if (bytes > maxBytes) {
    return {
      problem: `${
        quotedPattern(whole)
      } has a part of ${bytes} bytes; PostgreSQL limits names to ${maxBytes}`,
    };
  }
  // adjacent wildcards are one
  const inner = texts.slice(1, -1).filter((text) => text !== "");
  return { value: texts.length < 3 ? texts : [texts[0]!, ...inner, texts.at(-1)!] };
}

function tooManyParts(text: string, count: number): string {
  return `${quotedPattern(text)} has ${
    plural(count, "part")
  }; a table name has at most three: database.schema.table ` +
    `(double-quote names that contain dots)`;
}

/** A text for messages, quoted and truncated. */
export function quotedPattern(text: string): string {
  const short = text.length > 80 ? `${text.slice(0, 80)}…` : text;
  return /^".*"$/s.test(short) || /["*]/.test(short) ? short : `"${short}"`;
}

/** Splits at separators outside quotes; each field is the list of texts around its wildcards. */
function splitOutsideQuotes(
  text: string,
  separator: string,
): { readonly fields: readonly (readonly string[])[]; readonly problem?: string } {
  const fields: string[][] = [[""]];
  let quoted = false;
  const add = (character: string) => {
    const field = fields.at(-1)!;
    field[field.length - 1] += character;
  };
  for (let at = 0; at < text.length; at++) {
    const character = text.charAt(at);
    if (quoted) {
      if (character !== '"') add(character);
      else if (text.charAt(at + 1) === '"') {
        add('"');
        at++;
      } else quoted = false;
    } else if (character === '"') quoted = true;
    else if (character === "*") fields.at(-1)!.push("");
    else if (character === separator) fields.push([""]);
    else add(character);
  }
  return quoted
    ? { fields, problem: `${quotedPattern(text)} has an unclosed double quote` }
    : { fields };
}

/**
 * Splits a text at a character outside double quotes into at most `limit` pieces, the last of which
 * keeps the rest. Quotes are kept.
 */
export function cutOutsideQuotes(
  text: string,
  separator: string,
  limit = Infinity,
): readonly string[] {
  const pieces: string[] = [];
  let from = 0;
  let quoted = false;
  for (let at = 0; at < text.length && pieces.length < limit - 1; at++) {
    const character = text.charAt(at);
    if (character === '"') quoted = !quoted;
    if (character !== separator || quoted) continue;
    pieces.push(text.slice(from, at));
    from = at + 1;
  }
  return [...pieces, text.slice(from)];
}

/**
 * The tables with names closest to a pattern, as the user would have to write them.
 */
export function nearMisses(
  { database, schema, table }: TablePattern,
  tables: readonly TablePlace[],
): readonly string[] {
  const searched = printPart(table).replaceAll("*", "");
  const inDatabase = tables.filter((place) =>
    database === undefined || matchesPart(database, place.database)
  );
  const print = (place: TablePlace) =>
    database === undefined ? printPlace(place).split(".").slice(1).join(".") : printPlace(place);
  // the same name in another schema or database comes first, then similar names
  const sameName = [...inDatabase, ...tables].filter(({ name }) => matchesPart(table, name));
  const inSchema = inDatabase.filter((place) => matchesPart(schema, place.schema));
  const names = suggest(searched, new Set(inSchema.map(({ name }) => name)));
  const near = [
    ...sameName.map((place) => printPlace(place)),
    ...names.flatMap((name) => inSchema.filter((place) => place.name === name).map(print)),
    ...(suggest(
      `${printPart(schema)}.${searched}`,
      new Set(inDatabase.map((place) => `${place.schema}.${place.name}`)),
    )).flatMap((full) =>
      inDatabase.filter((place) => `${place.schema}.${place.name}` === full).map(print)
    ),
  ];
  return [...new Set(near)].slice(0, 3);
}
