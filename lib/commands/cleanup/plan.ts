/**
 * Which of the objects found to remove, and in which order. Pure.
 *
 * @module
 */
import {
  cutoverSchema,
  displayName,
  ExitCode,
  formatLsn,
  ledgerSchema,
  plural,
  quoteIdentifier,
  quoteLiteral,
  ReplicatorError,
  type Side,
  tableKey,
} from "../../core/internal.ts";
import {
  describeIdentity,
  restoreIdentity,
  type ScopeComment,
  type StreamState,
  streamState,
} from "../../replication/internal.ts";
import type { DatabaseSelection } from "../shared/run.ts";
import { differ, isSelected, type SourceFindings, type TargetFindings } from "./find.ts";
import type { CleanupItem, KeptItem } from "./report.ts";

/** What {@linkcode planCleanup} takes; undefined for an unreachable side. */
export interface CleanupFindings {
  readonly source: SourceFindings | undefined;
  readonly target: TargetFindings | undefined;
  readonly databases: Pick<DatabaseSelection, "include" | "exclude">;
}

/** The plan, without state files and unreachable sides. */
export interface PlannedItems {
  readonly items: readonly CleanupItem[];
  readonly kept: readonly KeptItem[];
  /** Statements to run on an unreachable side. */
  readonly byHand: Readonly<Record<Side, readonly string[]>>;
  /** The applier or publication with which a replica identity is restored. */
  readonly carriers: ReadonlyMap<CleanupItem, CleanupItem>;
  /** The database of the target from which each way back leads, by the stream's name. */
  readonly backs: ReadonlyMap<string, string>;
}

/**
 * Plans the removal: first appliers, which read the slots; then slots; then publications,
 * later snapshot generations before earlier ones, whose comments record the replica identities;
 * then ledgers.
 *
 * @throws ReplicatorError if one side is unreachable and streams with several such servers exist
 */
export function planCleanup(findings: CleanupFindings): PlannedItems {
  const { source, target, databases } = findings;
  const items: CleanupItem[] = [];
  const kept: KeptItem[] = [];
  const carriers = new Map<CleanupItem, CleanupItem>();
  const add = (item: CleanupItem, reason: string | undefined, carrier?: CleanupItem) => {
    if (reason === undefined) items.push(item);
    else kept.push({ ...item, reason });
    if (carrier !== undefined) carriers.set(item, carrier);
    return item;
  };
  refuseAmbiguous(findings);

  const isForeign = (scopeComment: ScopeComment | undefined) =>
    differ(scopeComment?.source.system, source?.system)
      ? "belongs to another source"
      : differ(scopeComment?.target.system, target?.system)
      ? "belongs to another target"
      : undefined;

  const appliers = (target?.appliers ?? []).filter(({ name, database, scopeComment }) =>
    isSelected([
      scopeComment?.source.database,
      database,
      source?.slots.find((slot) => slot.name === name)?.database,
    ], databases)
  );
  /** Adds tables of the target that were copied with a changed replica identity. */
  const addCopied = (
    { name, database, scopeComment }: {
      readonly name: string;
      readonly database: string | undefined;
      readonly scopeComment: ScopeComment | undefined;
    },
    reason: string | undefined,
    carrier: CleanupItem,
  ) => {
    const full = target?.full.get(database ?? "");
    for (const changed of scopeComment?.changedIdentities ?? []) {
      if (!full?.has(tableKey(changed))) continue;
      add(
        {
          kind: "replica-identity",
          side: "target",
          ...(database === undefined ? {} : { database }),
          name: displayName(changed),
          publication: name,
          detail: `FULL for ${name}: ${describeIdentity(changed)}`,
        },
        reason,
        carrier,
      );
    }
  };
  for (const { name, kind, database, scopeComment, slotName } of appliers) {
    const reads = slotName === undefined ? "without a slot" : `reads slot ${slotName}`;
    const detail = kind === "client"
      ? `record of a stream that this tool applies, ${reads}`
      : reads;
    const foreign = isForeign(scopeComment);
    const state = stateOf(name, findings);
    const item = add(
      {
        kind: kind === "client" ? "apply-record" : "subscription",
        ...{ side: "target", database, name, state, detail },
      },
      foreign,
    );
    addCopied({ name, database, scopeComment }, foreign, item);
  }

  const publications = (source?.publications ?? []).filter(({ database, scopeComment }) =>
    isSelected([database, scopeComment?.target.database], databases)
  );
  for (const slot of source?.slots ?? []) {
    const { name, database, active, activePid } = slot;
    const applier = target?.appliers.find((each) => each.name === name);
    const publication = source?.publications.find((each) =>
      each.name === name && each.database === database
    );
    const scopeComment = publication?.scopeComment ?? applier?.scopeComment;
    if (!isSelected([database, scopeComment?.target.database, applier?.database], databases)) {
      continue;
    }
    const retains = slot.restartLsn === undefined
      ? ""
      : `, retains WAL from ${formatLsn(slot.restartLsn)}`;
    const unknownReader = scopeComment === undefined && active && applier === undefined &&
        target !== undefined
      ? "in use by a client other than this target, and nothing records what it belongs to"
      : undefined;
    add({
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
    }, isForeign(scopeComment) ?? unknownReader);
  }
  const removed = new Set(
    items.filter(isApplier).map(({ name }) => name),
  );
  const oids = new Set(
    appliers.filter(({ name }) => removed.has(name)).map(({ applier }) => applier?.oid),
  );
  for (
    const { name, database, active, subscriptionOid, systemIdentifier } of source?.tableSyncSlots ??
      []
  ) {
    const isOwned = oids.has(subscriptionOid) && target !== undefined &&
      (systemIdentifier === undefined || systemIdentifier === target.system);
    if (!isOwned) continue;
    const detail = `of a table synchronization worker${active ? ", in use" : ""}`;
    items.push({ kind: "slot", side: "source", database, name, detail });
  }

  for (const publication of publications.toSorted((a, b) => b.parts.epoch - a.parts.epoch)) {
    const { name, database, tables, allTables, scopeComment, isTrusted } = publication;
    const foreign = isForeign(scopeComment);
    const item = add({
      kind: "publication",
      side: "source",
      database,
      name,
      detail: allTables ? "of all tables" : `of ${plural(tables, "table")}`,
    }, foreign);
    for (const changed of scopeComment?.changedIdentities ?? []) {
      add(
        {
          kind: "replica-identity",
          side: "source",
          database,
          name: displayName(changed),
          publication: name,
          detail: `FULL for ${name}: ${describeIdentity(changed)}`,
        },
        foreign,
        item,
      );
    }
    // an applier records them too
    const isSubscribed = appliers.some((each) => each.name === name);
    if (!isSubscribed) {
      // only the comment says which database that is, and the publication's owner can write
      // anything into it
      const untrusted = !isTrusted
        ? "only another role's publication records the change: connect to the source as that role, or restore it manually"
        : scopeComment?.target.system !== target?.system
        ? "the publication's comment does not record the change for this server: restore it manually"
        : undefined;
      addCopied(
        { name, database: scopeComment?.target.database, scopeComment },
        foreign ?? untrusted,
        item,
      );
    }
  }

  for (const item of cutoverItems(findings)) add(item, undefined);

  for (const { database, sourceDatabase, sourceSystem, foreign } of target?.ledgers ?? []) {
    if (!isSelected([database, sourceDatabase], databases)) continue;
    add({
      kind: "ledger",
      side: "target",
      database,
      name: ledgerSchema,
      detail: foreign === undefined
        ? "the record of a copy: without it, an unfinished init cannot resume"
        : `not read, because ${foreign}; another role's unfinished init cannot resume without it`,
    }, differ(sourceSystem, source?.system) ? "belongs to another source" : undefined);
  }
  return {
    items,
    kept,
    carriers,
    backs: new Map([...source?.cutovers ?? [], ...target?.cutovers ?? []].flatMap(
      ({ record: { details: { back, target } } }) => back === null ? [] : [[back, target.database]],
    )),
    byHand: { source: leftOnSource(items, target), target: leftOnTarget(items, source) },
  };
}

/**
 * The way back of each cutover, then its fence and schema on both sides. A side that the cutover
 * has closed accepts writes again, which the list says.
 */
function cutoverItems({ source, target, databases }: CleanupFindings): readonly CleanupItem[] {
  const found = [
    ...(source?.cutovers ?? []).map((each) => ({ ...each, side: "source" as const })),
    ...(target?.cutovers ?? []).map((each) => ({ ...each, side: "target" as const })),
  ].filter(({ record: { details } }) =>
    isSelected([details.source.database, details.target.database], databases) &&
    !differ(details.source.system, source?.system) && !differ(details.target.system, target?.system)
  );
  const backs = new Map(
    found.flatMap(({ record: { details } }) =>
      details.back === null ? [] : [[details.back, details] as const]
    ),
  );
  return [
    ...[...backs].map(([name, { source: { database } }]): CleanupItem => ({
      kind: "way-back",
      side: "source",
      database,
      name,
      detail: "the stream from the target to the source, with its slot on the target",
    })),
    ...found.map(({ side, database, tables, record }): CleanupItem => ({
      kind: "cutover",
      side,
      database,
      name: cutoverSchema,
      detail: `the fence of ${plural(tables, "table")}${
        record.isOpen ? "" : `: the ${side} is closed, and will ACCEPT WRITES again`
      }`,
    })),
  ];
}

function isApplier({ kind }: CleanupItem): boolean {
  return kind === "subscription" || kind === "apply-record";
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

/** Refuses if the unreachable side could be any of several servers. */
function refuseAmbiguous({ source, target, databases }: CleanupFindings): void {
  const refuse = (side: Side, systems: readonly (string | undefined)[]) => {
    const known = [...new Set(systems.filter((system) => system !== undefined))];
    if (known.length < 2) return;
    throw new ReplicatorError(
      `the ${side} is unreachable, and streams ${
        side === "source" ? "from" : "to"
      } ${known.length} servers exist: cannot determine which one it is`,
      {
        side,
        details: known.map((system) => `system ${system}`),
        remedy:
          `select its databases with --include-databases, or run cleanup again when the ${side} is back`,
        exitCode: ExitCode.prerequisite,
      },
    );
  };
  if (source === undefined) {
    refuse(
      "source",
      (target?.appliers ?? [])
        .filter(({ database, scopeComment }) =>
          isSelected([database, scopeComment?.source.database], databases)
        ).map(({ scopeComment }) => scopeComment?.source.system),
    );
  }
  if (target === undefined) {
    refuse(
      "target",
      (source?.publications ?? [])
        .filter(({ database, scopeComment }) =>
          isSelected([database, scopeComment?.target.database], databases)
        ).map(({ scopeComment }) => scopeComment?.target.system),
    );
  }
}

function leftOnSource(
  items: readonly CleanupItem[],
  target: TargetFindings | undefined,
): readonly string[] {
  return items.filter(isApplier).flatMap(({ name, database }) => {
    const { scopeComment } = target?.appliers.find((each) =>
      each.name === name && each.database === database
    ) ?? {};
    return [
      ...(scopeComment === undefined ? [] : [inDatabase(scopeComment.source.database)]),
      `SELECT pg_catalog.pg_drop_replication_slot(${quoteLiteral(name).trim()});`,
      `DROP PUBLICATION ${quoteIdentifier(name)};`,
      ...(scopeComment?.changedIdentities ?? []).map((changed) => `${restoreIdentity(changed)};`),
    ];
  });
}

function leftOnTarget(
  items: readonly CleanupItem[],
  source: SourceFindings | undefined,
): readonly string[] {
  return items.filter(({ kind }) => kind === "slot").flatMap(({ name, database }) => {
    const { scopeComment, isTrusted = false } = source?.publications.find((each) =>
      each.name === name && each.database === database
    ) ?? {};
    return [
      ...(scopeComment === undefined ? [] : [inDatabase(scopeComment.target.database)]),
      `ALTER SUBSCRIPTION ${quoteIdentifier(name)} DISABLE;`,
      `ALTER SUBSCRIPTION ${quoteIdentifier(name)} SET (slot_name = NONE);`,
      `DROP SUBSCRIPTION ${quoteIdentifier(name)};`,
      // the user might run, as a superuser, what another role has written
      ...(isTrusted ? scopeComment?.changedIdentities ?? [] : []).map((changed) =>
        `${restoreIdentity(changed)};`
      ),
    ];
  });
}

/** A one-line comment whatever the name: text after a line break would be SQL. */
function inDatabase(name: string): string {
  const line = displayName({ schema: "public", name }).replace(/[\p{Cc}\p{Zl}\p{Zp}]/gu, "\ufffd");
  return `-- in database ${line}`;
}
