/**
 * The transaction that a stopped applier would apply next, read from the slot without
 * consuming it.
 *
 * Source: PostgreSQL documentation, "55.9. Logical Replication Message Formats".
 *
 * @module
 */
import {
  displayName,
  formatLsn,
  type Lsn,
  parseLsn,
  quoteIdentifier,
  type TableName,
} from "../../core/internal.ts";
import { ServerError, type Session } from "../../postgres/internal.ts";

/** A change of a row. */
export interface RowChange {
  /** The changed table, by its name on the source. */
  readonly table: TableName;
  /** `insert`, `update`, `delete` or `truncate`. */
  readonly operation: "insert" | "update" | "delete" | "truncate";
  /** Values of the replica identity's columns, as text; null for NULL. */
  readonly key: Readonly<Record<string, string | null>>;
  /** All values of an inserted row, as text. */
  readonly row?: Readonly<Record<string, string | null>>;
  /** The values after an insert or update, as text, without unchanged TOASTed values. */
  readonly next?: Readonly<Record<string, string | null>>;
}

/** A transaction of the source, as the slot delivers it. */
export interface PendingTransaction {
  /** Where it ends: the value for `--skip-lsn`. */
  readonly finishLsn: Lsn;
  /** Transaction ID (`xid`) on the source. */
  readonly xid: number;
  /** Number of its changes. */
  readonly count: number;
  /** The first changes. */
  readonly changes: readonly RowChange[];
}

/** Changes shown of a transaction. */
const maxChanges = 5;
/** Messages read of a transaction, enough to contain its first changes. */
const maxMessages = 40;
/** Of larger changes only the table is read. */
const maxBytes = 1024 * 1024;

/**
 * A transaction may have millions of changes, and a change hundreds of megabytes: the server counts
 * them and sends only what is shown, plus every Begin and Relation message.
 */
const peekStatement = `
  SELECT pg_catalog.encode(CASE WHEN pg_catalog.octet_length(data) <= ${maxBytes} THEN data ELSE substring(data FOR 5) END, 'hex') AS message,
         changes, messages
    FROM (SELECT data, pg_catalog.chr(pg_catalog.get_byte(data, 0)) AS type, n, pg_catalog.row_number() OVER (PARTITION BY xid::pg_catalog.text ORDER BY n) AS nth,
                 (pg_catalog.count(*) OVER ())::int AS messages,
                 (pg_catalog.count(*) FILTER (WHERE pg_catalog.chr(pg_catalog.get_byte(data, 0)) IN ('I', 'U', 'D', 'T')) OVER (PARTITION BY xid::pg_catalog.text))::int AS changes
            FROM pg_catalog.pg_logical_slot_peek_binary_changes($1, NULL, $2,
                   'proto_version', '1', 'publication_names', $3) WITH ORDINALITY AS m (lsn, xid, data, n)) AS m
   WHERE nth <= ${maxMessages} OR type IN ('B', 'R')
   ORDER BY n`;

/**
 * Reads the first transaction after a position. The slot must not be in use: disable the
 * subscription first.
 *
 * @param options.after the position that the target has applied, if known
 * @returns undefined if nothing is pending
 */
export async function readNextTransaction(
  source: Session,
  { slot, publication, after }: {
    readonly slot: string;
    readonly publication: string;
    readonly after: Lsn | undefined;
  },
): Promise<PendingTransaction | undefined> {
  for (let limit = 1; limit <= 1_000_000; limit *= 100) {
    const rows = await source.query<
      { readonly message: string; readonly changes: number; readonly messages: number }
    >(peekStatement, [slot, limit, quoteIdentifier(publication)]);
    const transactions = readTransactions(
      rows.map(({ message, changes }) => ({ bytes: Uint8Array.fromHex(message), changes })),
    );
    const next = transactions.find(({ finishLsn }) => after === undefined || finishLsn >= after);
    if (next !== undefined || (rows[0]?.messages ?? 0) < limit) return next;
  }
  return undefined;
}

/** Up to where a subscription has applied its source. */
export interface OriginPosition {
  /** False if the role may not read it. */
  readonly known: boolean;
  /** Undefined if nothing was applied, or it is not known. */
  readonly lsn: Lsn | undefined;
}

/** Reads up to where a subscription has applied its source. */
export async function readOriginPosition(
  target: Session,
  subscriptionOid: number,
): Promise<OriginPosition> {
  try {
    const row = await target.queryOne<{ readonly lsn: string | null }>(
      "SELECT pg_catalog.pg_replication_origin_progress($1, true)::pg_catalog.text AS lsn",
      [`pg_${subscriptionOid}`],
    );
    return { known: true, lsn: row.lsn === null ? undefined : parseLsn(row.lsn) };
  } catch (error) {
    if (error instanceof ServerError) return { known: false, lsn: undefined };
    throw error;
  }
}

interface Relation extends TableName {
  readonly columns: readonly { readonly name: string; readonly isKey: boolean }[];
}

/**
 * Assembles transactions from messages of pgoutput (protocol 1).
 *
 * @param messages each with the number of changes in its transaction; a change that was truncated
 * after the table's OID has no key
 */
function readTransactions(
  messages: readonly { readonly bytes: Uint8Array; readonly changes: number }[],
): readonly PendingTransaction[] {
  const relations = new Map<number, Relation>();
  const transactions: (PendingTransaction & { changes: RowChange[] })[] = [];
  for (const { bytes, changes: count } of messages) {
    const reader = new MessageReader(bytes);
    const type = reader.character();
    const current = transactions.at(-1);
    const add = (change: RowChange) => {
      if (current !== undefined && current.changes.length < maxChanges) {
        current.changes.push(change);
      }
    };
    if (type === "B") {
      const finishLsn = reader.int64();
      reader.int64(); // commit timestamp
      transactions.push({ finishLsn, xid: reader.int32(), count, changes: [] });
    } else if (type === "R") {
      const oid = reader.int32();
      relations.set(oid, readRelation(reader));
    } else if (type === "I" || type === "U" || type === "D") {
      const relation = relations.get(reader.int32());
      if (relation !== undefined) add(readChange(reader, { type, relation }));
    } else if (type === "T") {
      const count = reader.int32();
      reader.int8();
      for (let at = 0; at < count; at++) {
        const relation = relations.get(reader.int32());
        if (relation === undefined) continue;
        const { schema, name } = relation;
        add({ table: { schema, name }, operation: "truncate", key: {} });
      }
    }
  }
  return transactions;
}

function readRelation(reader: MessageReader): Relation {
  const schema = reader.text() || "pg_catalog";
  const name = reader.text();
  reader.int8(); // replica identity
  const columns = Array.from({ length: reader.int16() }, () => {
    const isKey = reader.int8() === 1;
    const column = { name: reader.text(), isKey };
    reader.int32(); // type
    reader.int32(); // type modifier
    return column;
  });
  return { schema, name, columns };
}

function readChange(
  reader: MessageReader,
  { type, relation }: { readonly type: "I" | "U" | "D"; readonly relation: Relation },
): RowChange {
  const { schema, name } = relation;
  const operation = ({ I: "insert", U: "update", D: "delete" } as const)[type];
  const change = { table: { schema, name }, operation, key: {} };
  if (reader.isAtEnd) return change;
  // an update or delete may start with the old key (K) or the old row (O), by which the target
  // finds the row
  const first = reader.character();
  const values = readTuple(reader);
  let next = first === "N" ? values : undefined;
  if (type === "U" && next === undefined && !reader.isAtEnd) {
    reader.character();
    next = readTuple(reader);
  }
  const named = (columns: Relation["columns"], values: Tuple) =>
    Object.fromEntries(
      columns.flatMap((column): [string, string | null][] => {
        const value = values[relation.columns.indexOf(column)];
        return value === undefined ? [] : [[column.name, value]];
      }),
    );
  return {
    ...change,
    key: named(relation.columns.filter(({ isKey }) => isKey), values),
    ...(type === "I" ? { row: named(relation.columns, values) } : {}),
    ...(next === undefined ? {} : { next: named(relation.columns, next) }),
  };
}

type Tuple = readonly (string | null | undefined)[];

function readTuple(reader: MessageReader): Tuple {
  return Array.from({ length: reader.int16() }, () => {
    const kind = reader.character();
    if (kind === "n") return null;
    if (kind !== "t") return undefined; // an unchanged TOASTed value is not sent
    return reader.bytes(reader.int32());
  });
}

class MessageReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get isAtEnd(): boolean {
    return this.#at >= this.#bytes.length;
  }

  character(): string {
    return String.fromCharCode(this.int8());
  }

  int8(): number {
    return this.#view.getUint8(this.#at++);
  }

  int16(): number {
    return this.#view.getUint16((this.#at += 2) - 2);
  }

  int32(): number {
    return this.#view.getUint32((this.#at += 4) - 4);
  }

  int64(): bigint {
    return this.#view.getBigUint64((this.#at += 8) - 8);
  }

  text(): string {
    const end = this.#bytes.indexOf(0, this.#at);
    const text = this.bytes(end - this.#at);
    this.#at = end + 1;
    return text;
  }

  bytes(length: number): string {
    return new TextDecoder().decode(this.#bytes.subarray(this.#at, this.#at += length));
  }
}

const maxCharacters = 80;

/** A value, abbreviated if it is long. */
export function quotedValue(value: string | null): string {
  if (value === null) return "NULL";
  return value.length <= maxCharacters ? value : `${value.slice(0, maxCharacters)}…`;
}

/** Describes a transaction: where it ends, and its first changes with their keys. */
export function describeTransaction(transaction: PendingTransaction): readonly string[] {
  const { finishLsn, xid, count, changes } = transaction;
  return [
    `the next transaction is source transaction ${xid}, which ends at ${
      formatLsn(finishLsn)
    } and has ${count} ${count === 1 ? "change" : "changes"}:`,
    ...changes.map(({ table, operation, key }) => {
      const values = Object.entries(key).map(([column, value]) =>
        `${column} = ${quotedValue(value)}`
      );
      return `  ${operation} ${displayName(table)}${
        values.length === 0 ? "" : ` (${values.join(", ")})`
      }`;
    }),
    ...(count > changes.length ? [`  and ${count - changes.length} more`] : []),
  ];
}
