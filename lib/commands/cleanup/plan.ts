/**
 * Which of what was found goes, in which order. Pure.
 *
 * @module
 */
import {
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
} from "../../replication/internal.ts";
import type { DatabaseSelection } from "../shared/run.ts";
import { differ, isSelected, type SourceFindings, type TargetFindings } from "./find.ts";
import type { CleanupItem, KeptItem } from "./report.ts";

/** What planning takes; undefined for a side that is out of reach. */
export interface CleanupFindings {
  readonly source: SourceFindings | undefined;
  readonly target: TargetFindings | undefined;
  readonly databases: Pick<DatabaseSelection, "include" | "exclude">;
}

/** The plan, without what only the caller knows. */
export interface PlannedItems {
  readonly items: readonly CleanupItem[];
  readonly kept: readonly KeptItem[];
  /** Statements for a side that is out of reach. */
  readonly byHand: Readonly<Record<Side, readonly string[]>>;
  /** The subscription or publication that a replica identity is restored with. */
  readonly carriers: ReadonlyMap<CleanupItem, CleanupItem>;
}

/**
 * Plans the removal: subscriptions first, for they read the slots; then slots; then publications,
 * later epochs before earlier ones, whose comments remember the replica identities; then records.
 *
 * @throws ReplicatorError when one side is out of reach and streams of several such servers are
 * there
 */
export function planCleanup(findings: CleanupFindings): PlannedItems {
  const { source, target, databases } = findings;
  const items: CleanupItem[] = [];
  const kept: KeptItem[] = [];
  const carriers = new Map<CleanupItem, CleanupItem>();
  const take = (item: CleanupItem, reason: string | undefined, carrier?: CleanupItem) => {
    if (reason === undefined) items.push(item);
    else kept.push({ ...item, reason });
    if (carrier !== undefined) carriers.set(item, carrier);
    return item;
  };
  refuseSeveral(findings);

  const isForeign = (descriptor: ScopeComment | undefined) =>
    differ(descriptor?.source.system, source?.system)
      ? "belongs to another source"
      : differ(descriptor?.target.system, target?.system)
      ? "belongs to another target"
      : undefined;

  const subscriptions = (target?.subscriptions ?? []).filter(({ name, database, descriptor }) =>
    isSelected([
      descriptor?.source.database,
      database,
      source?.slots.find((slot) => slot.name === name)?.database,
    ], databases)
  );
  /**
   * Tables of the target that were copied with a replica identity that was changed for the stream.
   */
  const takeCopied = (
    { name, database, descriptor }: {
      readonly name: string;
      readonly database: string | undefined;
      readonly descriptor: ScopeComment | undefined;
    },
    reason: string | undefined,
    carrier: CleanupItem,
  ) => {
    const full = target?.full.get(database ?? "");
    for (const changed of descriptor?.changedIdentities ?? []) {
      if (!full?.has(tableKey(changed))) continue;
      take(
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
  for (const { name, database, descriptor, slotName } of subscriptions) {
    const detail = slotName === undefined ? "without a slot" : `reads slot ${slotName}`;
    const foreign = isForeign(descriptor);
    const item = take({ kind: "subscription", side: "target", database, name, detail }, foreign);
    takeCopied({ name, database, descriptor }, foreign, item);
  }

  const publications = (source?.publications ?? []).filter(({ database, descriptor }) =>
    isSelected([database, descriptor?.target.database], databases)
  );
  for (const slot of source?.slots ?? []) {
    const { name, database, active, activePid } = slot;
    const subscription = target?.subscriptions.find((each) => each.name === name);
    const publication = source?.publications.find((each) =>
      each.name === name && each.database === database
    );
    const descriptor = publication?.descriptor ?? subscription?.descriptor;
    if (!isSelected([database, descriptor?.target.database, subscription?.database], databases)) {
      continue;
    }
    const keeps = slot.restartLsn === undefined
      ? ""
      : `, keeps WAL from ${formatLsn(slot.restartLsn)} on`;
    const strange = descriptor === undefined && active && subscription === undefined &&
        target !== undefined
      ? "somebody reads it who is not on this target, and nothing describes it"
      : undefined;
    take({
      kind: "slot",
      side: "source",
      database,
      name,
      detail: (active
        ? `read by pid ${activePid ?? "?"}`
        : subscription === undefined && target !== undefined
        ? "no subscription: an init that still runs would fail"
        : "nobody reads it") + keeps,
    }, isForeign(descriptor) ?? strange);
  }
  const going = new Set(
    items.filter(({ kind }) => kind === "subscription").map(({ name }) => name),
  );
  const oids = new Set(
    subscriptions.filter(({ name }) => going.has(name)).map(({ oid }) => oid),
  );
  for (
    const { name, database, active, subscriptionOid, systemIdentifier } of source?.tableSyncSlots ??
      []
  ) {
    const ours = oids.has(subscriptionOid) && target !== undefined &&
      (systemIdentifier === undefined || systemIdentifier === target.system);
    if (!ours) continue;
    const detail = `of a first copy by the server${active ? ", in use" : ""}`;
    items.push({ kind: "slot", side: "source", database, name, detail });
  }

  for (const publication of publications.toSorted((a, b) => b.parts.epoch - a.parts.epoch)) {
    const { name, database, tables, allTables, descriptor, isTrusted } = publication;
    const foreign = isForeign(descriptor);
    const item = take({
      kind: "publication",
      side: "source",
      database,
      name,
      detail: allTables ? "of all tables" : `of ${plural(tables, "table")}`,
    }, foreign);
    for (const changed of descriptor?.changedIdentities ?? []) {
      take(
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
    // the subscription remembers them too, where there is one
    const isSubscribed = subscriptions.some((each) => each.name === name);
    if (!isSubscribed) {
      // only the comment says which database that is, and whoever owns a publication can write
      // anything into it
      const unsure = !isTrusted
        ? "another role's publication alone says that it was changed: connect to the source as that role, or restore it by hand"
        : descriptor?.target.system !== target?.system
        ? "the publication's comment does not say that it was changed on this server: restore it by hand"
        : undefined;
      takeCopied(
        { name, database: descriptor?.target.database, descriptor },
        foreign ?? unsure,
        item,
      );
    }
  }

  for (const { database, sourceDatabase, sourceSystem, foreign } of target?.ledgers ?? []) {
    if (!isSelected([database, sourceDatabase], databases)) continue;
    take({
      kind: "ledger",
      side: "target",
      database,
      name: ledgerSchema,
      detail: foreign === undefined
        ? "the record of a copy: without it, an unfinished init cannot go on"
        : `not read, since ${foreign}; another role's unfinished init cannot go on without it`,
    }, differ(sourceSystem, source?.system) ? "belongs to another source" : undefined);
  }
  return {
    items,
    kept,
    carriers,
    byHand: { source: leftOnSource(items, target), target: leftOnTarget(items, source) },
  };
}

/** Two servers that are both out of reach cannot be told apart: which one was meant? */
function refuseSeveral({ source, target, databases }: CleanupFindings): void {
  const refuse = (side: Side, systems: readonly (string | undefined)[]) => {
    const known = [...new Set(systems.filter((system) => system !== undefined))];
    if (known.length < 2) return;
    throw new ReplicatorError(
      `the ${side} is out of reach, and there are streams ${
        side === "source" ? "from" : "to"
      } ${known.length} servers: which of them it is cannot be told`,
      {
        side,
        details: known.map((system) => `system ${system}`),
        remedy:
          `name its databases with --include-databases, or run it again when the ${side} is back`,
        exitCode: ExitCode.prerequisite,
      },
    );
  };
  if (source === undefined) {
    refuse(
      "source",
      (target?.subscriptions ?? [])
        .filter(({ database, descriptor }) =>
          isSelected([database, descriptor?.source.database], databases)
        ).map(({ descriptor }) => descriptor?.source.system),
    );
  }
  if (target === undefined) {
    refuse(
      "target",
      (source?.publications ?? [])
        .filter(({ database, descriptor }) =>
          isSelected([database, descriptor?.target.database], databases)
        ).map(({ descriptor }) => descriptor?.target.system),
    );
  }
}

function leftOnSource(
  items: readonly CleanupItem[],
  target: TargetFindings | undefined,
): readonly string[] {
  return items.filter(({ kind }) => kind === "subscription").flatMap(({ name, database }) => {
    const { descriptor } = target?.subscriptions.find((each) =>
      each.name === name && each.database === database
    ) ?? {};
    return [
      ...(descriptor === undefined ? [] : [inDatabase(descriptor.source.database)]),
      `SELECT pg_catalog.pg_drop_replication_slot(${quoteLiteral(name).trim()});`,
      `DROP PUBLICATION ${quoteIdentifier(name)};`,
      ...(descriptor?.changedIdentities ?? []).map((changed) => `${restoreIdentity(changed)};`),
    ];
  });
}

function leftOnTarget(
  items: readonly CleanupItem[],
  source: SourceFindings | undefined,
): readonly string[] {
  return items.filter(({ kind }) => kind === "slot").flatMap(({ name, database }) => {
    const { descriptor, isTrusted = false } = source?.publications.find((each) =>
      each.name === name && each.database === database
    ) ?? {};
    return [
      ...(descriptor === undefined ? [] : [inDatabase(descriptor.target.database)]),
      `ALTER SUBSCRIPTION ${quoteIdentifier(name)} DISABLE;`,
      `ALTER SUBSCRIPTION ${quoteIdentifier(name)} SET (slot_name = NONE);`,
      `DROP SUBSCRIPTION ${quoteIdentifier(name)};`,
      // a superuser would run what another role has written
      ...(isTrusted ? descriptor?.changedIdentities ?? [] : []).map((changed) =>
        `${restoreIdentity(changed)};`
      ),
    ];
  });
}

/** A comment of one line, whatever the name: what follows a line's end would be SQL. */
function inDatabase(name: string): string {
  const line = displayName({ schema: "public", name }).replace(/[\p{Cc}\p{Zl}\p{Zp}]/gu, "\ufffd");
  return `-- in database ${line}`;
}
