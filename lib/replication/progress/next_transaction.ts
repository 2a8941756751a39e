/**
 * The transaction that a stopped applier would apply next, read from the slot without
 * consuming it.
 *
 * Source: PostgreSQL documentation, "54.9. Logical Replication Message Formats".
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
import {
  ChangeDecoder,
  type ChangeMessage,
  type Relation,
  ServerError,
  type Session,
  type Tuple,
} from "../../postgres/internal.ts";

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

/**
 * Assembles transactions from messages of pgoutput (protocol 1).
 *
 * @param messages each with the number of changes in its transaction; a change that was truncated
 * after the table's OID has no key
 */
function readTransactions(
  messages: readonly { readonly bytes: Uint8Array; readonly changes: number }[],
): readonly PendingTransaction[] {
  const decoder = new ChangeDecoder();
  const transactions: (PendingTransaction & { changes: RowChange[] })[] = [];
  for (const { bytes, changes: count } of messages) {
    const truncated = readTruncated(bytes, decoder);
    const message = truncated === undefined ? decoder.decode(bytes) : undefined;
    if (message?.kind === "begin") {
      transactions.push({ finishLsn: message.commitLsn, xid: message.xid, count, changes: [] });
      continue;
    }
    const changes = transactions.at(-1)?.changes;
    for (const change of truncated ?? describeChanges(message)) {
      if (changes !== undefined && changes.length < maxChanges) changes.push(change);
    }
  }
  return transactions;
}

const operations: Readonly<Record<string, RowChange["operation"]>> = {
  I: "insert",
  U: "update",
  D: "delete",
};

/** The letter and the table's OID. */
const truncatedBytes = 5;

/** A change of which only the table was read; undefined for any other message. */
function readTruncated(
  bytes: Uint8Array,
  decoder: ChangeDecoder,
): readonly RowChange[] | undefined {
  const operation = operations[String.fromCharCode(bytes[0] ?? 0)];
  if (operation === undefined || bytes.length !== truncatedBytes) return undefined;
  const oid = new DataView(bytes.buffer, bytes.byteOffset).getUint32(1);
  const relation = decoder.relation(oid);
  return relation === undefined ? [] : [{ table: tableOf(relation), operation, key: {} }];
}

function tableOf({ schema, name }: Relation): TableName {
  return { schema, name };
}

function describeChanges(message: ChangeMessage | undefined): readonly RowChange[] {
  switch (message?.kind) {
    case "truncate":
      return message.relations.map((relation) => ({
        table: tableOf(relation),
        operation: "truncate",
        key: {},
      }));
    case "insert": {
      const { relation, row } = message;
      const printed = printTuple(relation, row);
      return [{
        table: tableOf(relation),
        operation: "insert",
        key: printKey(relation, row),
        row: printed,
        next: printed,
      }];
    }
    case "update": {
      const { relation, before, row } = message;
      return [{
        table: tableOf(relation),
        operation: "update",
        key: printKey(relation, before ?? row),
        next: printTuple(relation, row),
      }];
    }
    case "delete":
      return [{
        table: tableOf(message.relation),
        operation: "delete",
        key: printKey(message.relation, message.before),
      }];
    default:
      return [];
  }
}

const decoder = new TextDecoder();

/** Values by column, as text; a TOASTed value that did not change is missing. */
function printTuple({ columns }: Relation, row: Tuple): Readonly<Record<string, string | null>> {
  const values = row.values();
  return Object.fromEntries(
    columns.flatMap(({ name }, at): [string, string | null][] => {
      const value = values[at];
      return value === undefined ? [] : [[name, value === null ? null : decoder.decode(value)]];
    }),
  );
}

/** The values of the replica identity. */
function printKey(relation: Relation, row: Tuple): Readonly<Record<string, string | null>> {
  const keys = new Set(relation.columns.filter(({ isKey }) => isKey).map(({ name }) => name));
  return Object.fromEntries(
    Object.entries(printTuple(relation, row)).filter(([name]) => keys.has(name)),
  );
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
