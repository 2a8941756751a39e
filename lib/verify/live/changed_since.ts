/**
 * Rows of the source that changed after a given snapshot.
 *
 * @module
 */
import { quoteLiteral } from "../../core/internal.ts";
import {
  type BytesRow,
  bytesStatement,
  parseBytesRow,
  type Session,
} from "../../postgres/internal.ts";
import { rowAlias, rowHash, valueText } from "../scan/digest.ts";
import type { Comparison } from "../plan/plan_comparisons.ts";
import type { DigestMethod } from "../report/report.ts";
import { ageColumn, fromClause } from "../scan/scan.ts";

// the old function name works in versions 12 to 18
const snapshotStatement =
  "SELECT pg_catalog.format('%s', pg_catalog.txid_current_snapshot()) AS snapshot";

/**
 * The current snapshot, as `xmin:xmax:xip_list`. If it equals an earlier one, nothing was committed
 * in between.
 */
export async function readVisibility(session: Session): Promise<string> {
  const { snapshot } = await session.queryOne<{ snapshot: string }>(snapshotStatement);
  return snapshot;
}

type ChangedRow = { readonly id: string | readonly string[] };

/** Rows fetched at a time. */
const rowsPerFetch = 5_000;

/**
 * Yields, in batches, the ids (see {@linkcode RowSelection}) of all rows written after the
 * snapshot: those whose `xmin` was not visible in it, or may not have been. This is one pass over
 * the row headers of the table. The server materializes the result (WITH HOLD), so its snapshot
 * ends with the pass.
 *
 * @param since an earlier result of {@linkcode readVisibility}
 */
export async function* readChangedSince(
  session: Session,
  { comparison, method, since, now }: {
    readonly comparison: Comparison;
    readonly method: DigestMethod;
    readonly since: string;
    /** The current result of {@linkcode readVisibility}. */
    readonly now: string;
  },
): AsyncGenerator<readonly string[], void, void> {
  const { key } = comparison;
  const selected = key === undefined
    ? `DISTINCT pg_catalog.format('%s', ${rowHash(comparison.columns, method)}) AS id`
    : `pg_catalog.to_json(ARRAY[${
      key.map((column) => valueText(column)).join(", ")
    }]::pg_catalog.text[]) AS id`;
  const statement = `
     SELECT ${selected}
       FROM ${fromClause(comparison, "source", { versions: true })}
      WHERE ${changedSince({ since, now })}`;
  // a previous table may have failed and left its cursor open
  await session.execute("CLOSE ALL");
  await session.execute(`
    DECLARE seren_changed NO SCROLL CURSOR WITH HOLD FOR ${
    comparison.asBytes ? bytesStatement(statement) : statement
  }`);
  for (;;) {
    const fetched = await session.query(`FETCH ${rowsPerFetch} FROM seren_changed`);
    if (fetched.length === 0) break;
    const rows = comparison.asBytes
      ? (fetched as BytesRow[]).map((row) => parseBytesRow<ChangedRow>(row))
      : fetched as ChangedRow[];
    yield rows.map(({ id }) => typeof id === "string" ? id : JSON.stringify(id));
  }
  await session.execute("CLOSE ALL");
}

/**
 * A condition on `xmin`, the low 32 bits of the transaction ID. `age()` is negative for rows frozen
 * two billion transactions ago.
 */
function changedSince(
  { since, now }: { readonly since: string; readonly now: string },
): string {
  const oldest = BigInt(since.split(":")[0]!);
  const next = BigInt(now.split(":")[1]!);
  const age = `${rowAlias}."${ageColumn}"`;
  if (next - oldest >= 2n ** 31n) return "true";
  const xid = String(oldest & 0xffff_ffffn);
  return `${age} BETWEEN 0 AND (SELECT pg_catalog.age(${quoteLiteral(xid)}::pg_catalog.xid))`;
}
