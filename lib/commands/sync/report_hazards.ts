/**
 * What will stop replication later, reported by every `sync` and before tables are copied.
 *
 * @module
 */
import { ExitCode, ReplicatorError, type RunEvent, tableKey } from "../../core/internal.ts";
import type { Session } from "../../postgres/internal.ts";
import { listTables, type Table } from "../../catalog/internal.ts";
import {
  type ApplierKind,
  assessPublication,
  findHazards,
  findRoleRights,
  type Hazard,
} from "../../replication/internal.ts";
import { selectRows } from "../shared/replicated_rows.ts";
import type { ReplicationStatus } from "./replication_status.ts";

/** Finds the hazards of tables that are or will be published. */
export async function readHazards(
  { scope }: Pick<ReplicationStatus, "scope">,
  { tables: wanted, source, target, kind }: {
    readonly kind: ApplierKind;
    readonly tables: readonly Table[];
    readonly source: Session;
    readonly target: Session;
  },
): Promise<readonly Hazard[]> {
  const { tables, predicateOf } = await selectRows(source, wanted, scope.rules);
  const { plan } = await assessPublication({
    session: source,
    tables,
    predicateOf,
    policy: "skip",
    isFilteredHere: kind === "client",
  });
  const onTarget = new Set((await listTables(target)).map((table) => tableKey(table)));
  const isClient = kind === "client";
  return [
    ...await findHazards(source, {
      tables,
      plan,
      targetMajor: target.majorVersion,
      // its role's rights on the tables of the target are known below
      actor: isClient ? { kind, bypassesRowSecurity: true } : { kind },
      isOnTarget: (table) => onTarget.has(tableKey(table)),
    }),
    ...isClient ? await findRoleRights(target, plan.tables) : [],
  ];
}

/** Turns hazards into warnings. */
export function hazardEvents(
  hazards: readonly Hazard[],
  database: string,
): readonly RunEvent[] {
  return hazards.map(({ finding, remedy }) => ({
    kind: "warning",
    side: "source",
    object: `database ${database}`,
    message: finding,
    remedy,
  }));
}

/**
 * Refuses tables whose first change would stop the stream.
 *
 * @throws ReplicatorError with all of them; nothing was changed
 */
export function refuseCertain(hazards: readonly Hazard[], database: string): void {
  const certain = hazards.filter(({ isCertain }) => isCertain);
  if (certain.length === 0) return;
  throw new ReplicatorError("the tables cannot be replicated; nothing was changed", {
    side: "source",
    object: `database ${database}`,
    details: certain.flatMap(({ finding, remedy }) => [finding, `  → ${remedy}`]),
    exitCode: ExitCode.prerequisite,
  });
}
