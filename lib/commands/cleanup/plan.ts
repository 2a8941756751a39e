/**
 * Which of the objects found to remove, and in which order. Pure.
 *
 * @module
 */
import { cutoversOnSource, cutoversOnTarget, leftOnSource, leftOnTarget } from "./by_hand.ts";
import type { SidedCutover } from "./find_cutovers.ts";
import { type CleanupFindings, type PlannedRemoval, planStreams } from "./plan_streams.ts";
import {
  cutoverSchema,
  ExitCode,
  ledgerSchema,
  plural,
  quoteIdentifier,
  ReplicatorError,
  type Side,
} from "../../core/internal.ts";
import { differ, isSelected } from "./find.ts";
import type { CleanupItem, KeptItem } from "./report.ts";

/** The plan, without state files and unreachable sides. */
export interface PlannedItems {
  readonly items: readonly CleanupItem[];
  readonly kept: readonly KeptItem[];
  /** Statements to run on an unreachable side. */
  readonly byHand: Readonly<Record<Side, readonly string[]>>;
  /** The applier or publication with which a replica identity is restored. */
  readonly carriers: ReadonlyMap<CleanupItem, CleanupItem>;
  /** The records of cutovers that are removed. */
  readonly cutovers: readonly SidedCutover[];
  /** All that were found, also those with other servers. */
  readonly recorded: readonly SidedCutover[];
  /** The database of the target from which each way back leads, by the stream's name. */
  readonly backs: ReadonlyMap<string, string>;
}

/**
 * Plans the removal: first the ways back of cutovers; then appliers, which read the slots; slots;
 * then publications, later snapshot generations before earlier ones, whose comments record the
 * replica identities; then ledgers.
 *
 * @throws ReplicatorError if one side is unreachable and streams with several such servers exist,
 * or if the record of a cutover is not trusted: without it, a closed side would not be seen
 */
export function planCleanup(findings: CleanupFindings): PlannedItems {
  refuseAmbiguous(findings);
  refuseDistrusted(findings);
  const { source, target } = findings;
  const cutovers = selectedCutovers(findings);
  const plain = (item: CleanupItem): PlannedRemoval => ({ item, reason: undefined });
  const planned = [
    // first: what it publishes keeps REPLICA IDENTITY FULL
    ...wayBackItems(cutovers).map(plain),
    ...planStreams(findings),
    ...cutovers.map(cutoverItem).map(plain),
    ...ledgerRemovals(findings),
  ];
  const items = planned.flatMap(({ item, reason }) => reason === undefined ? [item] : []);
  return {
    items,
    cutovers,
    recorded: recordedCutovers(findings),
    kept: planned.flatMap(({ item, reason }) => reason === undefined ? [] : [{ ...item, reason }]),
    carriers: new Map(
      planned.flatMap(({ item, carrier }) => carrier === undefined ? [] : [[item, carrier]]),
    ),
    backs: new Map([...source?.cutovers ?? [], ...target?.cutovers ?? []].flatMap(
      ({ record: { details: { back, target } } }) => back === null ? [] : [[back, target.database]],
    )),
    byHand: {
      source: [...cutoversOnSource(cutovers), ...leftOnSource(items, target)],
      target: [...cutoversOnTarget(cutovers), ...leftOnTarget(items, source)],
    },
  };
}

function ledgerRemovals({ source, target, databases }: CleanupFindings): readonly PlannedRemoval[] {
  return (target?.ledgers ?? []).filter(({ database, sourceDatabase }) =>
    isSelected([database, sourceDatabase], databases)
  ).map(({ database, sourceSystem, foreign }) => ({
    item: {
      kind: "ledger",
      side: "target",
      database,
      name: ledgerSchema,
      detail: foreign === undefined
        ? "the record of a copy: without it, an unfinished init cannot resume"
        : `not read, because ${foreign}; another role's unfinished init cannot resume without it`,
    },
    reason: differ(sourceSystem, source?.system) ? "belongs to another source" : undefined,
  }));
}

function selectedCutovers(findings: CleanupFindings): readonly SidedCutover[] {
  const { source, target, databases } = findings;
  return recordedCutovers(findings).filter(({ record: { details } }) =>
    isSelected([details.source.database, details.target.database], databases) &&
    !differ(details.source.system, source?.system) && !differ(details.target.system, target?.system)
  );
}

function recordedCutovers({ source, target }: CleanupFindings): readonly SidedCutover[] {
  return [
    ...(source?.cutovers ?? []).map((each) => ({ ...each, side: "source" as const })),
    ...(target?.cutovers ?? []).map((each) => ({ ...each, side: "target" as const })),
  ];
}

/** The way back of each cutover, unless `finish` has removed it. */
function wayBackItems(cutovers: readonly SidedCutover[]): readonly CleanupItem[] {
  const backs = new Map(
    cutovers.flatMap(({ hasWayBack, record: { details } }) =>
      details.back === null || !hasWayBack ? [] : [[details.back, details] as const]
    ),
  );
  return [...backs].map(([name, { source: { database } }]): CleanupItem => ({
    kind: "way-back",
    side: "source",
    database,
    name,
    detail: "the stream from the target to the source, with its slot on the target",
  }));
}

/**
 * The fence and the schema of one side. A side that the cutover has closed accepts writes again,
 * which the list says; the source of a finished one only in sessions that ask for them.
 */
function cutoverItem({ side, database, tables, record }: SidedCutover): CleanupItem {
  const isRetired = side === "source" && record.details.isFinished;
  const after = isRetired
    ? ": the cutover is finished; new sessions of the source stay read-only until you run " +
      "SET default_transaction_read_only = off; " +
      `ALTER DATABASE ${quoteIdentifier(database)} RESET default_transaction_read_only`
    : `: the ${side} is closed, and will ACCEPT WRITES again`;
  return {
    kind: "cutover",
    side,
    database,
    name: cutoverSchema,
    detail: `the fence of ${plural(tables, "table")}${record.isOpen ? "" : after}`,
  };
}

function refuseDistrusted({ source, target, databases }: CleanupFindings): void {
  const found = [...source?.distrusted ?? [], ...target?.distrusted ?? []];
  const first = found.find(({ database }) => isSelected([database], databases));
  if (first !== undefined) throw first.distrust;
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
