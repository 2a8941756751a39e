/**
 * Names of tables with wildcards, as users write them: read, printed, matched.
 *
 * @module
 */
import { plural, suggest } from "../core/internal.ts";

/**
 * One part of a name: the literal texts around its wildcards. `["orders"]` is one name, `["app_",
 * ""]` is `app_*`, `["", ""]` is `*`.
 */
export type PartPattern = readonly string[];

/** Which tables are meant; nothing is folded or quoted. */
export interface TablePattern {
  /** Undefined: every database. */
  readonly database: PartPattern | undefined;
  readonly schema: PartPattern;
  readonly table: PartPattern;
}

/** A text that was read, or what is wrong with it. */
export type Reading<Value> = { readonly value: Value } | { readonly problem: string };

/** PostgreSQL's limit for identifiers (NAMEDATALEN - 1). */
const maxBytes = 63;

/** A name in `public`, when no schema is given. */
const publicSchema: PartPattern = ["public"];

/** The part that stands for exactly this name. */
export function literalPart(name: string): PartPattern {
  return [name];
}

/** The one name that a part stands for; undefined when it has a wildcard. */
export function literalOf(part: PartPattern): string | undefined {
  return part.length === 1 ? part[0] : undefined;
}

/** Whether a name is one that the part stands for. Case counts, as in a catalog. */
export function matchesPart([first = "", ...rest]: PartPattern, name: string): boolean {
  if (rest.length === 0) return name === first;
  const last = rest[rest.length - 1] ?? "";
  if (name.length < first.length + last.length) return false;
  if (!name.startsWith(first) || !name.endsWith(last)) return false;
  let at = first.length;
  const end = name.length - last.length;
  // the leftmost place is always good enough: a wildcard takes whatever is between
  for (const text of rest.slice(0, -1)) {
    const found = name.indexOf(text, at);
    if (found < 0 || found + text.length > end) return false;
    at = found + text.length;
  }
  return true;
}

/** Where a table is. */
export interface TablePlace {
  readonly database: string;
  readonly schema: string;
  readonly name: string;
}

/** Whether a table is one that the pattern stands for. */
export function matchesTable(
  { database, schema, table }: TablePattern,
  place: TablePlace,
): boolean {
  return (database === undefined || matchesPart(database, place.database)) &&
    matchesPart(schema, place.schema) && matchesPart(table, place.name);
}

/** Whether there can be a table that both patterns stand for. */
export function patternsOverlap(a: TablePattern, b: TablePattern): boolean {
  const databases = a.database === undefined || b.database === undefined ||
    partsOverlap(a.database, b.database);
  return databases && partsOverlap(a.schema, b.schema) && partsOverlap(a.table, b.table);
}

/** Whether there can be a name that both parts stand for. */
export function partsOverlap(a: PartPattern, b: PartPattern): boolean {
  const symbols = (part: PartPattern) =>
    part.flatMap((text, index) => [...(index === 0 ? [] : [undefined]), ...text]);
  const [left, right] = [symbols(a), symbols(b)];
  // reachable[j]: the first i symbols of the one can stand for the same text as the first j of the
  // other
  let reachable = right.reduce<boolean[]>(
    (row, symbol, j) => [...row, row[j]! && symbol === undefined],
    [true],
  );
  for (const one of left) {
    const next = [reachable[0]! && one === undefined];
    for (const [j, other] of right.entries()) {
      next.push(
        one === undefined || other === undefined
          ? one === undefined && (reachable[j + 1]! || next[j]!) ||
            other === undefined && (next[j]! || reachable[j + 1]!)
          : one === other && reachable[j]!,
      );
    }
    reachable = next;
  }
  return reachable.at(-1)!;
}

/** A part so that reading it gives the same part. */
export function printPart(part: PartPattern): string {
  return part.map(printText).join("*");
}

/**
 * A pattern so that reading it as a filter (with a database) or as a rule gives the same pattern.
 */
export function printPattern({ database, schema, table }: TablePattern): string {
  return [...(database === undefined ? [] : [database]), schema, table].map(printPart).join(".");
}

/** A table's full name for people, and for a filter: `app.public.orders`. */
export function printPlace({ database, schema, name }: TablePlace): string {
  return [database, schema, name].map(printText).join(".");
}

function printText(text: string): string {
  return /^[\p{L}\p{M}\p{N}_$-]*$/u.test(text) ? text : `"${text.replaceAll('"', '""')}"`;
}

/**
 * Reads what `--include-tables` and `--exclude-tables` take: `database.table` (in schema `public`)
 * or `database.schema.table`. Parts may be in double quotes; `*` outside of quotes stands for any
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
      } does not say in which database: write database.table or database.schema.table`,
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
 * Reads how rules name tables: `table` (in schema `public`), `schema.table` or
 * `database.schema.table`. Without a database they are meant in every database.
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

/** Reads a single part with wildcards, in which a dot has no meaning: the name of a database. */
export function readPartPattern(text: string): Reading<PartPattern> {
  const { fields, problem } = split(text, "");
  if (problem !== undefined) return { problem };
  return part(fields[0] ?? [""], text);
}

function readParts(text: string): Reading<readonly PartPattern[]> {
  const { fields, problem } = split(text.trim(), ".");
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
    return { problem: `${quotedPattern(whole)} has a NUL character in it` };
  }
  const bytes = new TextEncoder().encode(texts.join("")).length;
  if (bytes > maxBytes) {
    return {
      problem: `${
        quotedPattern(whole)
      } has a part of ${bytes} bytes; PostgreSQL's names have at most ${maxBytes}`,
    };
  }
  // several wildcards in a row are one
  const inner = texts.slice(1, -1).filter((text) => text !== "");
  return { value: texts.length < 3 ? texts : [texts[0]!, ...inner, texts.at(-1)!] };
}

function tooManyParts(text: string, count: number): string {
  return `${quotedPattern(text)} has ${
    plural(count, "part")
  }; a table is database.schema.table at most ` +
    `(put a name with dots into double quotes)`;
}

/** A text in a message, cut short. */
export function quotedPattern(text: string): string {
  const short = text.length > 80 ? `${text.slice(0, 80)}…` : text;
  return /^".*"$/s.test(short) || /["*]/.test(short) ? short : `"${short}"`;
}

/** Fields between separators outside of quotes; each as its literal texts between wildcards. */
function split(
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
    ? { fields, problem: `${quotedPattern(text)} has a double quote that is not closed` }
    : { fields };
}

/**
 * Cuts a text at a character outside of double quotes, into at most `limit` pieces of which the
 * last keeps the rest. Quotes stay.
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
 * The tables whose names are nearest to what a pattern says, as the user would have to write them.
 */
export function nearMisses(
  { database, schema, table }: TablePattern,
  tables: readonly TablePlace[],
): readonly string[] {
  const word = printPart(table).replaceAll("*", "");
  const inDatabase = tables.filter((place) =>
    database === undefined || matchesPart(database, place.database)
  );
  const print = (place: TablePlace) =>
    database === undefined ? printPlace(place).split(".").slice(1).join(".") : printPlace(place);
  // the right name in another schema or database comes first, then a name much like it
  const elsewhere = [...inDatabase, ...tables].filter(({ name }) => matchesPart(table, name));
  const alike = inDatabase.filter((place) => matchesPart(schema, place.schema));
  const names = suggest(word, new Set(alike.map(({ name }) => name)));
  const near = [
    ...elsewhere.map((place) => printPlace(place)),
    ...names.flatMap((name) => alike.filter((place) => place.name === name).map(print)),
    ...(suggest(
      `${printPart(schema)}.${word}`,
      new Set(inDatabase.map((place) => `${place.schema}.${place.name}`)),
    )).flatMap((full) =>
      inDatabase.filter((place) => `${place.schema}.${place.name}` === full).map(print)
    ),
  ];
  return [...new Set(near)].slice(0, 3);
}
