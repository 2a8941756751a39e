/**
 * Which rows of the source have changed since a moment.
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

// by the name that versions 12 to 18 have in common
const snapshotStatement =
  "SELECT pg_catalog.format('%s', pg_catalog.txid_current_snapshot()) AS snapshot";

/**
 * What is visible now, as `xmin:xmax:xip_list`. Two that are the same: nothing was committed in
 * between.
 */
export async function readVisibility(session: Session): Promise<string> {
  const { snapshot } = await session.queryOne<{ snapshot: string }>(snapshotStatement);
  return snapshot;
}

type ChangedRow = { readonly id: string | readonly string[] };

/** Rows that are handed over at a time. */
const rowsOfFetch = 5_000;

/**
 * The ids (see {@linkcode RowSelection}) of all rows that were written after the moment, some at a
 * time: those whose `xmin` was not visible then, or might not have been. One pass over the table
 * that looks at row headers; the server keeps what it found (WITH HOLD), so the snapshot ends with
 * the pass.
 *
 * @param since what {@linkcode readVisibility} gave
 */
export async function* readChangedSince(
  session: Session,
  { comparison, method, since, now }: {
    readonly comparison: Comparison;
    readonly method: DigestMethod;
    readonly since: string;
    /** What {@linkcode readVisibility} gave just now. */
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
  // what an earlier table left there when it failed
  await session.execute("CLOSE ALL");
  await session.execute(`
    DECLARE seren_changed NO SCROLL CURSOR WITH HOLD FOR ${
    comparison.asBytes ? bytesStatement(statement) : statement
  }`);
  for (;;) {
    const fetched = await session.query(`FETCH ${rowsOfFetch} FROM seren_changed`);
    if (fetched.length === 0) break;
    const rows = comparison.asBytes
      ? (fetched as BytesRow[]).map((row) => parseBytesRow<ChangedRow>(row))
      : fetched as ChangedRow[];
    yield rows.map(({ id }) => typeof id === "string" ? id : JSON.stringify(id));
  }
  await session.execute("CLOSE ALL");
}

/**
 * A condition on `xmin`, which holds the last 32 bits of the transaction's number. `age()` is
 * negative for what was frozen two billion ago.
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
