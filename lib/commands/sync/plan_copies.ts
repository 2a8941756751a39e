/**
 * What `sync --resnapshot` and `--add-tables` are about to copy, and what that changes on the
 * source. Only reads.
 *
 * @module
 */
import { retry, type TableName } from "../../core/internal.ts";
import { openSession } from "../../postgres/internal.ts";
import { type ApplierKind, planPublication } from "../../replication/internal.ts";
import { selectRows } from "../shared/replicated_rows.ts";
import type { SyncOptions } from "../shared/run.ts";
import type { SyncPlan } from "../shared/sync_report.ts";
import type { ChosenTables } from "./choose_tables.ts";
import type { ReplicationStatus } from "./replication_status.ts";

/**
 * Plans the copies of the chosen tables.
 *
 * @throws ReplicatorError with every table that cannot be published
 */
export async function planCopies(
  chosen: readonly ChosenTables[],
  { kinds, options: { sync }, areNew, signal }: {
    /** What will apply the changes of each database. */
    readonly kinds: ReadonlyMap<ReplicationStatus, ApplierKind>;
    readonly options: Pick<SyncOptions, "sync">;
    readonly areNew: boolean;
    readonly signal: AbortSignal;
  },
): Promise<SyncPlan> {
  const databases: SyncPlan["databases"][number][] = [];
  for (const { status, tables } of chosen) {
    await using session = await retry(() => openSession(status.source, { signal }), { signal });
    const rows = await selectRows(session, tables, status.scope.rules);
    const { changedIdentities, byAllColumns } = await planPublication({
      session,
      tables: rows.tables,
      predicateOf: rows.predicateOf,
      policy: sync.identity,
      isFilteredHere: kinds.get(status) === "client",
    });
    databases.push({
      source: status.source.database,
      target: status.target.database,
      tables: tables.map(({ schema, name, bytes }) => ({ schema, name, bytes })),
      identities: changedIdentities.map(named),
      byAllColumns: byAllColumns.map(named),
    });
  }
  return { databases, areNew };
}

function named({ schema, name }: TableName): TableName {
  return { schema, name };
}
