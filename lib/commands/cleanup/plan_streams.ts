/**
 * Which appliers, slots and publications to remove, and in which order. Pure.
 *
 * @module
 */
import { displayName, formatLsn, plural, tableKey } from "../../core/internal.ts";
import {
  describeIdentity,
  type ScopeComment,
  type StreamState,
  streamState,
} from "../../replication/internal.ts";
import type { DatabaseSelection } from "../shared/run.ts";
import {
  differ,
  type FoundApplier,
  type FoundPublication,
  isSelected,
  type SourceFindings,
  type TargetFindings,
} from "./find.ts";
import type { CleanupItem } from "./report.ts";

/** What {@linkcode planCleanup} takes; undefined for an unreachable side. */
export interface CleanupFindings {
  readonly source: SourceFindings | undefined;
  readonly target: TargetFindings | undefined;
  readonly databases: Pick<DatabaseSelection, "include" | "exclude">;
}

/** An object to remove, or to keep if there is a reason. */
export interface PlannedRemoval {
  readonly item: CleanupItem;
  readonly reason: string | undefined;
  /** The applier or publication with which a replica identity is restored. */
  readonly carrier?: CleanupItem;
}

/** Appliers, slots, publications, and the replica identities that they changed. */
export function planStreams(findings: CleanupFindings): readonly PlannedRemoval[] {
  return [
    ...selectedAppliers(findings).flatMap((each) => applierRemovals(each, findings)),
    ...(findings.source?.slots ?? []).flatMap((slot) => slotRemovals(slot, findings)),
    ...tableSyncSlotRemovals(findings),
    ...(findings.source?.publications ?? [])
      .filter(({ database, scopeComment }) =>
        isSelected([database, scopeComment?.target.database], findings.databases)
      )
      .toSorted((a, b) => b.parts.epoch - a.parts.epoch)
      .flatMap((each) => publicationRemovals(each, findings)),
  ];
}

function selectedAppliers(
  { source, target, databases }: CleanupFindings,
): readonly FoundApplier[] {
  return (target?.appliers ?? []).filter(({ name, database, scopeComment }) =>
    isSelected([
      scopeComment?.source.database,
      database,
      source?.slots.find((slot) => slot.name === name)?.database,
    ], databases)
  );
}

/** Why a stream is not one between these two servers; undefined if it may be. */
function foreignReason(
  scopeComment: ScopeComment | undefined,
  { source, target }: CleanupFindings,
): string | undefined {
  if (differ(scopeComment?.source.system, source?.system)) return "belongs to another source";
  return differ(scopeComment?.target.system, target?.system)
    ? "belongs to another target"
    : undefined;
}

function applierRemovals(
  { name, kind, database, scopeComment, slotName }: FoundApplier,
  findings: CleanupFindings,
): readonly PlannedRemoval[] {
  const reason = foreignReason(scopeComment, findings);
  const reads = slotName === undefined ? "without a slot" : `reads slot ${slotName}`;
  const item: CleanupItem = {
    kind: kind === "client" ? "apply-record" : "subscription",
    side: "target",
    database,
    name,
    state: stateOf(name, findings),
    detail: kind === "client" ? `record of a stream that this tool applies, ${reads}` : reads,
  };
  return [
    { item, reason },
    ...copiedIdentities({ name, database, scopeComment }, findings)
      .map((identity) => ({ item: identity, reason, carrier: item })),
  ];
}

/** Tables of the target that were copied with a changed replica identity. */
function copiedIdentities(
  { name, database, scopeComment }: {
    readonly name: string;
    readonly database: string | undefined;
    readonly scopeComment: ScopeComment | undefined;
  },
  { target }: CleanupFindings,
): readonly CleanupItem[] {
  const full = target?.full.get(database ?? "");
  return (scopeComment?.changedIdentities ?? []).filter((changed) => full?.has(tableKey(changed)))
    .map((changed): CleanupItem => ({
      kind: "replica-identity",
      side: "target",
      ...(database === undefined ? {} : { database }),
      name: displayName(changed),
      publication: name,
      detail: `FULL for ${name}: ${describeIdentity(changed)}`,
    }));
}

function slotRemovals(
  { name, database, active, activePid, restartLsn }: SourceFindings["slots"][number],
  findings: CleanupFindings,
): readonly PlannedRemoval[] {
  const { source, target, databases } = findings;
  const applier = target?.appliers.find((each) => each.name === name);
  const publication = source?.publications.find((each) =>
    each.name === name && each.database === database
  );
  const scopeComment = publication?.scopeComment ?? applier?.scopeComment;
  if (!isSelected([database, scopeComment?.target.database, applier?.database], databases)) {
    return [];
  }
  const retains = restartLsn === undefined ? "" : `, retains WAL from ${formatLsn(restartLsn)}`;
  const unknownReader = scopeComment === undefined && active && applier === undefined &&
      target !== undefined
    ? "in use by a client other than this target, and nothing records what it belongs to"
    : undefined;
  return [{
    item: {
      kind: "slot",
      side: "source",
      database,
      name,
      state: stateOf(name, findings),
      detail: (active
        ? `read by pid ${activePid ?? "?"}`
        : applier === undefined && target !== undefined
        ? "no subscription: a running init would fail"
        : "not in use") + retains,
    },
    reason: foreignReason(scopeComment, findings) ?? unknownReader,
  }];
}

/** Those of the appliers that are removed. */
function tableSyncSlotRemovals(findings: CleanupFindings): readonly PlannedRemoval[] {
  const { source, target } = findings;
  const oids = new Set(
    selectedAppliers(findings)
      .filter(({ scopeComment }) => foreignReason(scopeComment, findings) === undefined)
      .map(({ applier }) => applier?.oid),
  );
  return (source?.tableSyncSlots ?? []).filter(({ subscriptionOid, systemIdentifier }) =>
    oids.has(subscriptionOid) && target !== undefined &&
    (systemIdentifier === undefined || systemIdentifier === target.system)
  ).map(({ name, database, active }) => ({
    item: {
      kind: "slot",
      side: "source",
      database,
      name,
      detail: `of a table synchronization worker${active ? ", in use" : ""}`,
    },
    reason: undefined,
  }));
}

function publicationRemovals(
  { name, database, tables, allTables, scopeComment, isTrusted }: FoundPublication,
  findings: CleanupFindings,
): readonly PlannedRemoval[] {
  const { target } = findings;
  const foreign = foreignReason(scopeComment, findings);
  const item: CleanupItem = {
    kind: "publication",
    side: "source",
    database,
    name,
    detail: allTables ? "of all tables" : `of ${plural(tables, "table")}`,
  };
  const changed = (scopeComment?.changedIdentities ?? []).map((identity): PlannedRemoval => ({
    item: {
      kind: "replica-identity",
      side: "source",
      database,
      name: displayName(identity),
      publication: name,
      detail: `FULL for ${name}: ${describeIdentity(identity)}`,
    },
    reason: foreign,
    carrier: item,
  }));
  // an applier records them too
  if (selectedAppliers(findings).some((each) => each.name === name)) {
    return [{ item, reason: foreign }, ...changed];
  }
  // only the comment says which database that is, and the publication's owner can write anything
  // into it
  const untrusted = !isTrusted
    ? "only another role's publication records the change: connect to the source as that role, or restore it manually"
    : scopeComment?.target.system !== target?.system
    ? "the publication's comment does not record the change for this server: restore it manually"
    : undefined;
  const place = { name, database: scopeComment?.target.database, scopeComment };
  return [
    { item, reason: foreign },
    ...changed,
    ...copiedIdentities(place, findings)
      .map((identity) => ({ item: identity, reason: foreign ?? untrusted, carrier: item })),
  ];
}

/** The state of the stream to which an applier or slot belongs. */
function stateOf(name: string, { source, target }: CleanupFindings): StreamState {
  const found = target?.appliers.find((each) => each.name === name);
  if (found !== undefined && found.applier === undefined) return "unknown";
  const isBlocked = (found?.applier?.blockers.length ?? 0) > 0;
  return streamState({
    slot: source?.slots.find((each) => each.name === name),
    applier: found?.applier,
    sourceReachable: source !== undefined,
    targetReachable: target !== undefined,
    activity: { newErrors: 0, restarted: false, applied: true, isBlocked },
  });
}
