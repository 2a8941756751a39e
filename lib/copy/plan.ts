/**
 * How the rows of a database are copied: in which parts, formats and order. Pure.
 *
 * @module
 */
import { displayName } from "../core/internal.ts";
import { type KeyBounds, readKeyBounds, type Table } from "../catalog/internal.ts";
import type { Session } from "../postgres/internal.ts";
import type { CopyFormat, CopySettings } from "./copy_settings.ts";
import type { PartRange } from "./part_range.ts";

/** What a plan depends on besides the tables. */
export interface CopyPlanOptions {
  /** Major version of the source. */
  readonly sourceMajor: number;
  /** Encoding of the source database. */
  readonly encoding: string;
  /** Sessions, format and part size to plan for. */
  readonly settings: CopySettings;
  /** The condition that selects a table's rows; undefined for all rows. */
  readonly predicateOf: (table: Table) => string | undefined;
  /**
   * Where keys may divide tables, by OID; for sources before 14 only, see {@linkcode
   * readPlanBounds}.
   */
  readonly keyBounds: ReadonlyMap<number, KeyBounds>;
}

/** One COPY: a whole table, or a range of its blocks or keys. */
export interface CopyPart {
  /** The table that it belongs to. */
  readonly table: Table;
  /** `orders`, `orders 2/5` */
  readonly name: string;
  /** Undefined for a whole table. */
  readonly range: PartRange | undefined;
  /** Only rows for which it is true; undefined for all of the range. */
  readonly predicate: string | undefined;
  /** Counted from 0. */
  readonly part: number;
  /** Number of parts of the table; 1 for a whole table. */
  readonly parts: number;
  /** Format of COPY: `text` or `binary`. */
  readonly format: CopyFormat;
  /**
   * Whether the rows are frozen. The table is truncated in the same transaction, so this requires a
   * single part; for a few pages, that would cost more than freezing them ever will.
   */
  readonly freeze: boolean;
  /** Estimated size on the source, in bytes. */
  readonly bytes: number;
}

/**
 * Smaller tables are not frozen: truncating one costs the target three times as much as its rows.
 */
const minFrozenBytes = 64 * 1024;

/** Limit on the parts of one table. */
const maxParts = 1_024;

/**
 * Divides large tables into equal ranges of blocks (of keys before 14), the largest parts first, so
 * that no worker is left alone with one at the end.
 *
 * Block ranges follow from the relation's size, without a scan and without skew from gaps in a key.
 * They require version 14 (TID range scans) and a heap. Key ranges follow from the histogram of the
 * primary key's first column and are open at both ends: values that ANALYZE did not see are in the
 * first or last part.
 *
 * Sources: PostgreSQL documentation, "E. Release 14" (TID range scans), "COPY" (FREEZE).
 */
export function planCopy(
  tables: readonly Table[],
  options: CopyPlanOptions,
): readonly CopyPart[] {
  return tables
    .flatMap((table) => partsOf(table, options))
    .sort((a, b) => b.bytes - a.bytes);
}

/** A part that an earlier attempt planned. */
export interface EarlierPart {
  readonly part: number;
  readonly parts: number;
  readonly range: PartRange;
}

/**
 * The parts of a table that an earlier attempt planned and did not copy, unchanged: the table's
 * size may differ by now.
 */
export function planEarlierParts(
  table: Table,
  earlier: readonly EarlierPart[],
  options: Pick<CopyPlanOptions, "settings" | "encoding" | "predicateOf">,
): readonly CopyPart[] {
  const name = displayName(table);
  const predicate = options.predicateOf(table);
  return earlier.map(({ part, parts, range }) => ({
    table,
    name: `${name} ${part + 1}/${parts}`,
    range,
    predicate,
    part,
    parts,
    format: formatOf(table, options),
    freeze: false,
    bytes: table.bytes / parts,
  }));
}

function partsOf(table: Table, options: CopyPlanOptions): readonly CopyPart[] {
  const format = formatOf(table, options);
  const count = partCount(table, options);
  const name = displayName(table);
  const predicate = options.predicateOf(table);
  if (count === 1) {
    return [{
      table,
      name,
      range: undefined,
      predicate,
      part: 0,
      parts: 1,
      format,
      freeze: table.extensionCondition === undefined && table.bytes >= minFrozenBytes,
      bytes: table.bytes,
    }];
  }
  return rangesOf(table, { count, keys: options.keyBounds.get(table.oid) }).map((range, part) => ({
    table,
    name: `${name} ${part + 1}/${count}`,
    range,
    predicate,
    part,
    parts: count,
    format,
    freeze: false,
    bytes: table.bytes / count,
  }));
}

function rangesOf(
  table: Table,
  { count, keys }: { readonly count: number; readonly keys: KeyBounds | undefined },
): readonly PartRange[] {
  const numbers = Array.from({ length: count }, (_, part) => part);
  if (keys !== undefined) {
    const { column, type, bounds } = keys;
    // n bounds separate n + 1 shares of equal size
    const edge = (part: number) => bounds[Math.floor((bounds.length + 1) * part / count) - 1];
    return numbers.map((part) => ({
      column,
      type,
      fromKey: part === 0 ? undefined : edge(part),
      toKey: part === count - 1 ? undefined : edge(part + 1),
    }));
  }
  const edge = (part: number) => Math.floor(table.blocks * part / count);
  // rows visible to the snapshot lie below the size that was read under it; the last range is
  // open-ended nevertheless
  return numbers.map((part) => ({
    from: edge(part),
    to: part === count - 1 ? undefined : edge(part + 1),
  }));
}

function partCount(table: Table, options: CopyPlanOptions): number {
  const { splitBytes, jobs, workers } = options.settings;
  if (
    jobs * workers.processes === 1 || table.bytes <= splitBytes ||
    table.extensionCondition !== undefined
  ) return 1;
  if (table.planningHazard !== undefined) return 1; // a range is a query
  return Math.max(
    1,
    Math.min(Math.ceil(table.bytes / splitBytes), maxRanges(table, options), maxParts),
  );
}

/** How many ranges a table can be divided into. */
function maxRanges(table: Table, { sourceMajor, keyBounds }: CopyPlanOptions): number {
  if (sourceMajor >= 14) return table.accessMethod === "heap" ? table.blocks : 1;
  return (keyBounds.get(table.oid)?.bounds.length ?? 0) + 1;
}

/** Reads the bounds by which large tables of servers before 14 are divided; none for others. */
export async function readPlanBounds(
  session: Session,
  tables: readonly Table[],
  { splitBytes }: Pick<CopySettings, "splitBytes">,
): Promise<ReadonlyMap<number, KeyBounds>> {
  if (session.majorVersion >= 14) return new Map();
  return await readKeyBounds(session, tables.filter(({ bytes }) => bytes > splitBytes));
}

/**
 * Binary requires that every column's type is built in, elements included: arrays, composites and
 * ranges contain type OIDs, which differ between servers. It also requires UTF8: COPY's ENCODING
 * option does not apply to binary fields.
 */
function formatOf(
  table: Table,
  options: Pick<CopyPlanOptions, "settings" | "encoding">,
): CopyFormat {
  return whyText(table, options) === undefined ? "binary" : "text";
}

/** Why a table is not copied in binary: `column tags app.tag[]`; undefined for one that is. */
export function whyText(
  { columns }: Pick<Table, "columns">,
  { settings, encoding }: Pick<CopyPlanOptions, "settings" | "encoding">,
): string | undefined {
  if (settings.format === "text") return "chosen by --copy-format";
  if (encoding !== "UTF8") return `the database's encoding is ${encoding}`;
  const own = columns.filter(({ portableBinary }) => !portableBinary)
    .map(({ name, typeName }) => `${name} ${typeName}`);
  if (own.length === 0) return undefined;
  return `${own.length === 1 ? "column" : "columns"} ${own.slice(0, maxNamed).join(", ")}${
    own.length > maxNamed ? ", …" : ""
  }`;
}

const maxNamed = 3;
