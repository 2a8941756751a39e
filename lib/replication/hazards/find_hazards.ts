import { tableKey, type TableName } from "../../core/internal.ts";
import type { Session } from "../../postgres/internal.ts";
import type { Table } from "../../catalog/internal.ts";
import type { PublicationPlan } from "../publication/publication.ts";
import { findAlwaysTriggers } from "./always_triggers.ts";
import { findAmbiguousRows } from "./ambiguous_rows.ts";
import type { Hazard } from "./hazard.ts";
import { type ChangeActor, findOwnerRights } from "./owner_rights.ts";
import { findTruncateReach } from "./truncate_reach.ts";
import { findUnvalidatedDomains } from "./unvalidated_domains.ts";

/** What {@linkcode findHazards} takes. */
export interface HazardInput {
  /** Tables of the source. */
  readonly tables: readonly Table[];
  readonly plan: Pick<PublicationPlan, "tables" | "byAllColumns">;
  readonly targetMajor: number;
  /** Who will apply the changes. */
  readonly actor: ChangeActor;
  /** Whether a table exists on the target, published or not. */
  readonly isOnTarget: (table: TableName) => boolean;
}

/** Finds every hazard of a publication's tables. */
export async function findHazards(
  session: Session,
  { tables, plan, targetMajor, actor, isOnTarget }: HazardInput,
): Promise<readonly Hazard[]> {
  const oids = new Map(tables.map((table) => [tableKey(table), table.oid]));
  const identify = (names: readonly TableName[]) =>
    names.flatMap((table) => oids.get(tableKey(table)) ?? []);
  const list = identify(plan.tables);
  const published = new Set(list);
  return [
    ...await findOwnerRights(session, { published, targetMajor, actor }),
    ...await findTruncateReach(session, { published, isOnTarget }),
    ...await findUnvalidatedDomains(session, list),
    ...await findAlwaysTriggers(session, { published, kind: actor.kind }),
    ...await findAmbiguousRows(session, identify(plan.byAllColumns)),
  ];
}
