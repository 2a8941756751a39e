/**
 * What on the target prevents a transaction from being applied. Before version 15 SQL does not
 * report apply errors, and no version reports the conflicting row.
 *
 * @module
 */
import {
  displayName,
  type Lsn,
  quoteIdentifier,
  quoteLiteral,
  quoteQualified,
  retry,
  tableKey,
} from "../../core/internal.ts";
import { ServerError, type Session } from "../../postgres/internal.ts";
import {
  describeTransaction,
  type OriginPosition,
  type PendingTransaction,
  quotedValue,
  readNextTransaction,
  readOriginPosition,
  type RowChange,
} from "./next_transaction.ts";
import type { SlotState } from "../slot/read_slots.ts";
import { isSlotInUse } from "../slot/slot.ts";
import { type ApplierProgress, readAppliedTables } from "../read_appliers.ts";
import { findValueErrors } from "./diagnose_value_error.ts";

/** The next transaction of a stopped applier, and what prevents it. */
export interface ApplyErrorDiagnosis {
  /** The next transaction to apply; undefined if none is pending. */
  readonly transaction: PendingTransaction | undefined;
  /** Conflicts found on the target: with any, the transaction cannot be applied as things stand. */
  readonly conflicts: readonly string[];
  /** A description of all of it. */
  readonly lines: readonly string[];
}

/** What {@linkcode diagnoseApplyError} takes. */
export interface DiagnoseOptions {
  /** A session on the source's database. */
  readonly source: Session;
  /** A session on the target's database. */
  readonly target: Session;
  /** The stopped applier on the target. */
  readonly applier: Pick<ApplierProgress, "name" | "kind" | "oid" | "latestEndLsn">;
  /** Slot that the subscription reads, on the source. */
  readonly slot: Pick<SlotState, "name">;
  /** Name of the publication that it subscribes to, unquoted. */
  readonly publication: string;
}

/**
 * Reads the transaction that the target would apply next, without consuming it, and looks for
 * conflicts on the target.
 *
 * The slot must not be in use. A worker that starts meanwhile finds it in use and is restarted.
 */
export async function diagnoseApplyError(options: DiagnoseOptions): Promise<ApplyErrorDiagnosis> {
  try {
    const { target, applier } = options;
    const applied = await readAppliedPosition(target, applier);
    const transaction = await readNext(options, applied.lsn);
    if (transaction === undefined) return { transaction, conflicts: [], lines: [] };
    // the slot's position lags behind what was applied: without the origin's position, a
    // transaction that was already applied would conflict with its own rows
    const conflicts = applied.known
      ? [
        ...await findConflictingRows(target, { transaction, applier }),
        ...await findValueErrors({ source: options.source, target, transaction }),
      ]
      : [];
    return {
      transaction,
      conflicts,
      lines: [
        ...describeTransaction(transaction),
        ...conflicts.map((conflict) => `cause: ${conflict}`),
      ],
    };
  } catch (error) {
    if (!(error instanceof ServerError)) throw error;
    const lines = [`the transaction cannot be read from the slot: ${error.message}`];
    return { transaction: undefined, conflicts: [], lines };
  }
}

async function readAppliedPosition(
  target: Session,
  { kind, oid, latestEndLsn }: DiagnoseOptions["applier"],
): Promise<OriginPosition> {
  return kind === "client" || oid === undefined
    ? { known: true, lsn: latestEndLsn }
    : await readOriginPosition(target, oid);
}

/** A failing worker uses the slot only briefly. */
const readDelaysMs: readonly number[] = Array<number>(29).fill(100);

/** Decoding starts at the slot's oldest WAL and may take long. */
const readTimeout = "30s";

async function readNext(
  { source, slot, publication }: DiagnoseOptions,
  after: Lsn | undefined,
): Promise<PendingTransaction | undefined> {
  return await retry(() =>
    source.transaction(async () => {
      await source.execute(`SET LOCAL statement_timeout = '${readTimeout}'`);
      return await readNextTransaction(source, { slot: slot.name, publication, after });
    }), { delaysMs: readDelaysMs, isRetryable: isSlotInUse });
}

const tableStatement = `
  SELECT (SELECT coalesce(pg_catalog.json_agg(a.attname), '[]') FROM pg_catalog.pg_attribute AS a
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
  readonly columns: readonly string[];
  /** Unique indexes. */
  readonly indexes: readonly { readonly name: string; readonly columns: readonly string[] }[];
}

/** Finds tables and columns that the target lacks, and rows that it already has. */
async function findConflictingRows(
  target: Session,
  { transaction: { changes }, applier }: {
    readonly transaction: PendingTransaction;
    readonly applier: DiagnoseOptions["applier"];
  },
): Promise<readonly string[]> {
  // changes of other tables are ignored if the columns exist
  const followed = new Set((await readAppliedTables(target, [applier])).map(tableKey));
  const found: string[] = [];
  for (const [at, change] of changes.entries()) {
    const name = quoteQualified(change.table.schema, change.table.name);
    const [table] = await target.query<TargetTable>(tableStatement, [name]);
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
    // rows that the transaction itself moves or deletes first do not conflict
    const isAlone = !changes.slice(0, at).some(({ operation, table }) =>
      operation !== "insert" && table.schema === change.table.schema &&
      table.name === change.table.name
    );
    if (isAlone && followed.has(tableKey(change.table))) {
      found.push(...await findRows(target, { change, table, name }));
    }
  }
  return [...new Set(found)];
}

/** Finds existing rows with the unique values of an inserted row. */
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
    if (!await exists(target, `SELECT FROM ONLY ${name} WHERE ${condition.join(" AND ")}`)) {
      continue;
    }
    found.push(
      `the target already has a row of ${displayName(change.table)} with ${
        columns.map((column, at) => `${column} = ${quotedValue(values[at] ?? null)}`).join(", ")
      } (${index})`,
    );
  }
  return found;
}

/** False for rows that the role may not read, or that cannot be compared. */
async function exists(target: Session, statement: string): Promise<boolean> {
  try {
    return (await target.query(`${statement} LIMIT 1`)).length > 0;
  } catch (error) {
    if (error instanceof ServerError) return false;
    throw error;
  }
}
