/**
 * What on the target keeps a transaction from being applied, found by looking: before version 15
 * SQL says nothing of errors of applying, and no version says which row was in the way.
 *
 * @module
 */
import {
  displayName,
  type Lsn,
  quoteIdentifier,
  quoteLiteral,
  quoteQualified,
} from "../../core/internal.ts";
import { pause, ServerError, type Session, SqlState } from "../../postgres/internal.ts";
import {
  describeTransaction,
  type PendingTransaction,
  quotedValue,
  readNextTransaction,
  readOriginPosition,
  type RowChange,
} from "./next_transaction.ts";
import type { SlotState } from "../slot/read_slots.ts";
import type { SubscriptionState } from "../subscription/read_subscriptions.ts";
import { findValueErrors } from "./diagnose_value_error.ts";

/** The next transaction of a stopped subscription, in words. */
export interface ApplyErrorDiagnosis {
  readonly transaction: PendingTransaction | undefined;
  /** What is in its way, as far as can be seen: then it can never be applied as things stand. */
  readonly obstacles: readonly string[];
  /** All of it for people. */
  readonly lines: readonly string[];
}

/** What {@linkcode diagnoseApplyError} takes. */
export interface DiagnoseOptions {
  /** On the source's database. */
  readonly source: Session;
  /** On the target's database. */
  readonly target: Session;
  readonly subscription: Pick<SubscriptionState, "oid">;
  readonly slot: Pick<SlotState, "name">;
  readonly publication: string;
}

/**
 * Reads the transaction that the target would apply next, without consuming it, and looks on the
 * target for what is in its way.
 *
 * The slot must not be in use. A worker that starts meanwhile finds it in use and starts again.
 */
export async function diagnoseApplyError(options: DiagnoseOptions): Promise<ApplyErrorDiagnosis> {
  try {
    const { target, subscription } = options;
    const applied = await readOriginPosition(target, subscription.oid);
    const transaction = await readNext(options, applied.lsn);
    if (transaction === undefined) return { transaction, obstacles: [], lines: [] };
    // the slot hears of what was applied a while later: a row of an earlier transaction would be
    // its own obstacle
    const obstacles = applied.known
      ? [
        ...await findConflictingRows(target, { transaction, subscription }),
        ...await findValueErrors({ source: options.source, target, transaction }),
      ]
      : [];
    return {
      transaction,
      obstacles,
      lines: [
        ...describeTransaction(transaction),
        ...obstacles.map((obstacle) => `in its way: ${obstacle}`),
      ],
    };
  } catch (error) {
    if (!(error instanceof ServerError)) throw error;
    const lines = [`the transaction cannot be read from the slot: ${error.message}`];
    return { transaction: undefined, obstacles: [], lines };
  }
}

const readAttempts = 30;
const readPauseMs = 100;

/** As long as decoding may take: it begins at the slot's oldest WAL. */
const readTimeout = "30s";

async function readNext(
  { source, slot, publication }: DiagnoseOptions,
  after: Lsn | undefined,
): Promise<PendingTransaction | undefined> {
  for (let attempt = 1;; attempt++) {
    try {
      return await source.transaction(async () => {
        await source.execute(`SET LOCAL statement_timeout = '${readTimeout}'`);
        return await readNextTransaction(source, { slot: slot.name, publication, after });
      });
    } catch (error) {
      const inUse = error instanceof ServerError && error.sqlState === SqlState.objectInUse;
      if (!inUse || attempt >= readAttempts) throw error;
    }
    await pause(readPauseMs); // a worker that fails holds it for a moment only
  }
}

const tableStatement = `
  SELECT EXISTS (SELECT FROM pg_catalog.pg_subscription_rel AS r
                  WHERE r.srsubid = $2::pg_catalog.oid AND r.srrelid = c.oid) AS followed,
         (SELECT coalesce(pg_catalog.json_agg(a.attname), '[]') FROM pg_catalog.pg_attribute AS a
           WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns,
         (SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_object(
                   'name', i.indexrelid::pg_catalog.regclass::pg_catalog.text,
                   'columns', (SELECT pg_catalog.json_agg(a.attname)
                                 FROM pg_catalog.unnest(i.indkey[0:i.indnkeyatts - 1]) AS k (attnum)
                                 JOIN pg_catalog.pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.attnum))), '[]')
            FROM pg_catalog.pg_index AS i
           WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid
             AND i.indpred IS NULL AND i.indexprs IS NULL) AS indexes
    FROM pg_catalog.pg_class AS c
   WHERE c.oid = pg_catalog.to_regclass($1)`;

interface TargetTable {
  /** Changes of other tables are passed over, as long as they have the columns. */
  readonly followed: boolean;
  readonly columns: readonly string[];
  /** Unique ones. */
  readonly indexes: readonly { readonly name: string; readonly columns: readonly string[] }[];
}

/**
 * Of the changes that are known: tables and columns that the target lacks, and rows that it has
 * already.
 */
export async function findConflictingRows(
  target: Session,
  { transaction: { changes }, subscription }: {
    readonly transaction: PendingTransaction;
    readonly subscription: Pick<SubscriptionState, "oid">;
  },
): Promise<readonly string[]> {
  const found: string[] = [];
  for (const [at, change] of changes.entries()) {
    const name = quoteQualified(change.table.schema, change.table.name);
    const [table] = await target.query<TargetTable>(tableStatement, [
      name,
      subscription.oid,
    ]);
    if (table === undefined) {
      found.push(`the target has no table ${displayName(change.table)}`);
      continue;
    }
    const missing = Object.keys(change.row ?? change.key)
      .filter((column) => !table.columns.includes(column));
    if (missing.length > 0) {
      found.push(
        `the target's ${displayName(change.table)} has no column ${
          missing.map(quoteIdentifier).join(", ")
        }`,
      );
      continue;
    }
    // what the transaction itself has moved or removed before is not in the way
    const isAlone = !changes.slice(0, at).some(({ operation, table }) =>
      operation !== "insert" && table.schema === change.table.schema &&
      table.name === change.table.name
    );
    if (isAlone && table.followed) found.push(...await findRows(target, { change, table, name }));
  }
  return [...new Set(found)];
}

/** Rows of the target that an inserted one would be a second one of. */
async function findRows(
  target: Session,
  { change, table, name }: {
    readonly change: RowChange;
    readonly table: TargetTable;
    readonly name: string;
  },
): Promise<readonly string[]> {
  const { row } = change;
  if (row === undefined) return [];
  const found: string[] = [];
  for (const { columns, name: index } of table.indexes) {
    const values = columns.map((column) => row[column]);
    if (values.some((value) => value === null || value === undefined)) continue;
    const condition = columns.map((column, at) =>
      `${quoteIdentifier(column)} = ${quoteLiteral(values[at] as string)}`
    );
    if (!await isThere(target, `SELECT FROM ONLY ${name} WHERE ${condition.join(" AND ")}`)) {
      continue;
    }
    found.push(
      `the target has a row of ${displayName(change.table)} with ${
        columns.map((column, at) => `${column} = ${quotedValue(values[at] ?? null)}`).join(", ")
      } already (${index})`,
    );
  }
  return found;
}

/** What may not be read, or cannot be compared, is not found. */
async function isThere(target: Session, statement: string): Promise<boolean> {
  try {
    return (await target.query(`${statement} LIMIT 1`)).length > 0;
  } catch (error) {
    if (error instanceof ServerError) return false;
    throw error;
  }
}
