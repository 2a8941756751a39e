/**
 * Row filters of sources whose publications cannot filter (before 15): changes are turned into
 * those that a publication of 15 would send.
 *
 * The predicates are evaluated by the target, whose types and functions are those of the source.
 *
 * Source: PostgreSQL documentation, "29.4.2. Transformations" (row filters).
 *
 * @module
 */
import { displayName, ExitCode, quoteIdentifier, ReplicatorError } from "../core/internal.ts";
import {
  type ColumnValue,
  type Endpoint,
  openSession,
  rowResultBytes,
  ServerError,
  type Session,
  Tuple,
} from "../postgres/internal.ts";
import { inParentheses, withoutSchema, wordsOf } from "../rules/internal.ts";
import { ByteWriter } from "./byte_writer.ts";
import type { TargetColumn } from "./applied_tables.ts";
import { ChangeCollector, type CollectedChange, type Item } from "./collect.ts";
import { mayPass } from "./explain.ts";
import type { TableMapping } from "./table_mapping.ts";

/** A row that is compared with the filter, and where the answer belongs. */
interface Question {
  readonly change: number;
  readonly which: "before" | "row";
  readonly row: Tuple;
}

/**
 * Filters collected changes. States: idle → connected (at the first filtered change) → closed;
 * nothing is durable.
 */
export class RowFilter implements AsyncDisposable {
  readonly #target: Endpoint;
  readonly #signal: AbortSignal;
  readonly #hasEncoding: boolean;
  #session: Session | undefined;

  /** @param options.hasEncoding whether values are UTF-8; otherwise they are any bytes */
  constructor({ target, signal, hasEncoding }: {
    readonly target: Endpoint;
    readonly signal: AbortSignal;
    readonly hasEncoding: boolean;
  }) {
    this.#target = target;
    this.#signal = signal;
    this.#hasEncoding = hasEncoding;
  }

  /**
   * The changes that remain, in an order in which they can be applied.
   *
   * @throws ReplicatorError if a predicate cannot be evaluated, or a value of a row that enters the
   * filter was not sent
   */
  async apply(
    items: readonly Item[],
    { isStrict }: { readonly isStrict: boolean },
  ): Promise<readonly Item[]> {
    if (!items.some(isFiltered)) return items;
    const result: Item[] = [];
    let waiting: CollectedChange[] = [];
    const flush = async () => {
      const collector = new ChangeCollector({ isStrict });
      for (const change of await this.#filter(waiting)) collector.add(change);
      result.push(...collector.items);
      waiting = [];
    };
    for (const item of items) {
      if (isFiltered(item)) waiting.push(item.change);
      else {
        // other tables do not depend on it, whatever the order
        if (item.kind === "truncate") await flush();
        result.push(item);
      }
    }
    await flush();
    return result;
  }

  async #filter(changes: readonly CollectedChange[]): Promise<readonly CollectedChange[]> {
    const answers = changes.map(() => ({ before: false, row: false }));
    const indexes = Map.groupBy(changes.keys(), (index) => changes[index]?.mapping);
    for (const [mapping, group] of indexes) {
      if (mapping === undefined) continue;
      const questions = group.flatMap((change) =>
        questionsOf(changes[change] as CollectedChange, change)
      );
      const kept = await this.#evaluate(mapping, questions.map(({ row }) => row));
      for (const [at, { change, which }] of questions.entries()) {
        (answers[change] as { before: boolean; row: boolean })[which] = kept[at] === "1";
      }
    }
    return changes.flatMap((change, index) =>
      transform(change, answers[index] as { before: boolean; row: boolean })
    );
  }

  /** `1` or `0` for each row. */
  async #evaluate(mapping: TableMapping, rows: readonly Tuple[]): Promise<string> {
    this.#session ??= await openSession(this.#target, {
      signal: this.#signal,
      settings: { search_path: "pg_catalog", default_transaction_read_only: "on" },
    });
    const session = this.#session;
    const positions = sentPositions(mapping);
    try {
      const types = await this.#typeNames(
        session,
        positions.map((position) => mapping.columns[position]?.type ?? 0),
      );
      const values = rows.map((row) => row.values());
      const arrays = positions.map((position) =>
        arrayOf(values.map((row) => row[position]), delimiterOf(mapping.columns[position]))
      );
      const { kept } = await session.queryOne<{ readonly kept: string }>(
        evaluateStatement(mapping, {
          rows: rows.length,
          positions,
          types,
          hasEncoding: this.#hasEncoding,
        }),
        arrays.map((array) => this.#hasEncoding ? decoder.decode(array) : array.toHex()),
        { resultBytes: rowResultBytes },
      );
      return kept;
    } catch (error) {
      if (!(error instanceof ServerError) || mayPass(error)) throw error;
      throw new ReplicatorError(
        `the target cannot evaluate the row filter of the table: ${error.message}`,
        {
          side: "target",
          object: `table ${displayName(mapping.table)}`,
          details: [`WHERE ${mapping.rowFilter}`],
          remedy: "make what the filter uses available on the target, then run sync --retry",
          exitCode: ExitCode.unhealthy,
          cause: error,
        },
      );
    }
  }

  /** Without a modifier, `char` and `bit` would be read as those of one character. */
  async #typeNames(session: Session, oids: readonly number[]): Promise<readonly string[]> {
    const rows = await session.query<{ readonly name: string }>(
      `SELECT pg_catalog.format_type(o.oid::pg_catalog.oid, -1) AS name
         FROM pg_catalog.json_array_elements_text($1::pg_catalog.json) WITH ORDINALITY AS o (oid, position)
        ORDER BY o.position`,
      [JSON.stringify(oids.map(String))],
    );
    return rows.map(({ name }) => name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#session?.[Symbol.asyncDispose]();
  }
}

function isFiltered(item: Item): item is Item & { readonly kind: "single" } {
  return item.kind === "single" && item.change.mapping.rowFilter !== undefined;
}

function questionsOf(change: CollectedChange, index: number): readonly Question[] {
  const before = change.kind === "insert" ? undefined : change.before;
  const row = change.kind === "delete" ? undefined : completeRow(change);
  return [
    // an identity that did not change is not sent again: the old row is in the filter like the new
    ...(before === undefined || (change.kind === "update" && before === change.row)
      ? []
      : [{ change: index, which: "before" as const, row: before }]),
    ...(row === undefined ? [] : [{ change: index, which: "row" as const, row }]),
  ];
}

/**
 * The new row, with values that were not sent because they did not change, where they are known.
 */
function completeRow(change: CollectedChange & { readonly row: Tuple }): Tuple {
  const { row, mapping } = change;
  if (!row.isPartial || change.kind !== "update" || change.before === row) return row;
  const before = change.before.values();
  return Tuple.of(
    row.values().map((value, position) =>
      value === undefined &&
        (mapping.relation.isIdentityFull || mapping.relation.columns[position]?.isKey)
        ? before[position]
        : value
    ),
  );
}

function transform(
  change: CollectedChange,
  { before, row }: { readonly before: boolean; readonly row: boolean },
): readonly CollectedChange[] {
  const { mapping } = change;
  if (change.kind === "insert") return row ? [change] : [];
  if (change.kind === "delete") return before ? [change] : [];
  if (change.before === change.row || before && row) return row ? [change] : [];
  if (before) return [{ kind: "delete", mapping, before: change.before }];
  if (!row) return [];
  const entered = completeRow(change);
  if (!entered.isPartial) return [{ kind: "insert", mapping, row: entered }];
  throw new ReplicatorError(
    "an UPDATE lets a row enter the row filter, and the source did not send all of its values",
    {
      side: "source",
      object: `table ${displayName(mapping.table)}`,
      remedy:
        "set the table to REPLICA IDENTITY FULL on the source for later changes, skip this transaction, and copy the table again with sync --resnapshot",
      exitCode: ExitCode.unhealthy,
    },
  );
}

/**
 * The columns that the filter mentions: others may be large. All of them, if it mentions the whole
 * row. It can refer to columns of the identity only, which alone are always sent.
 */
function sentPositions({ relation, columns, table, rowFilter = "" }: TableMapping) {
  const { identifiers } = wordsOf(rowFilter);
  const mentioned = new Set(identifiers.map((name) => name.toLowerCase()));
  const isNamed = (name: string) => mentioned.has(name.toLowerCase());
  const isWhole = isNamed(table.name) || /\.\s*\*/.test(rowFilter);
  return relation.columns.flatMap(({ isKey }, position) =>
    (isKey || relation.isIdentityFull) && (isWhole || isNamed(columns[position]?.name ?? ""))
      ? [position]
      : []
  );
}

/** Text is the element type of arrays that have no type of their own. */
function delimiterOf(column: TargetColumn | undefined): string {
  return column === undefined || column.arrayType === 0 ? "," : column.delimiter;
}

/** The values have the types and collations of the table's columns, as columns of a subquery. */
function evaluateStatement(
  { table, columns, rowFilter = "true" }: TableMapping,
  { rows, positions, types, hasEncoding }: {
    /** How many there are. */
    readonly rows: number;
    readonly positions: readonly number[];
    readonly types: readonly string[];
    readonly hasEncoding: boolean;
  },
): string {
  const used = positions.flatMap((position) => columns[position] ?? []);
  const arrays = used.map(({ arrayType }, at) => {
    const text = hasEncoding
      ? `$${at + 1}`
      : `pg_catalog.convert_from(pg_catalog.decode($${at + 1}, 'hex'), 'SQL_ASCII')`;
    return `pg_catalog.unnest(${text}::${arrayType === 0 ? "pg_catalog.text" : types[at]}[])`;
  });
  const values = used.map(({ name, arrayType, collation }, at) =>
    `v.c${at}${arrayType === 0 ? `::${types[at]}` : ""}${
      collation === undefined ? "" : ` COLLATE ${collation}`
    } AS ${quoteIdentifier(name)}, `
  );
  return `SELECT pg_catalog.string_agg(CASE WHEN ${
    inParentheses(withoutSchema(rowFilter, table))
  } THEN '1' ELSE '0' END, '' ORDER BY seren_position) AS kept
    FROM (SELECT ${values.join("")}v.n AS seren_position
            FROM ROWS FROM (${
    [`pg_catalog.generate_series(1, ${rows})`, ...arrays].join(", ")
  }) AS v (${["n", ...used.map((_, at) => `c${at}`)].join(", ")})) AS ${
    quoteIdentifier(table.name)
  }`;
}

const decoder = new TextDecoder();
const encoder = new TextEncoder();
const nullElement = encoder.encode("NULL");
const quote = 0x22;
const backslash = 0x5c;

function arrayOf(values: readonly ColumnValue[], delimiter: string): Uint8Array<ArrayBuffer> {
  const writer = new ByteWriter();
  writer.byte(0x7b); // {
  for (const [index, value] of values.entries()) {
    if (index > 0) writer.byte(delimiter.charCodeAt(0));
    if (!value) writer.bytes(nullElement);
    else {
      writer.byte(quote);
      for (const byte of value) {
        if (byte === quote || byte === backslash) writer.byte(backslash);
        writer.byte(byte);
      }
      writer.byte(quote);
    }
  }
  writer.byte(0x7d);
  return writer.take();
}
