/**
 * Finds the tool's objects on two servers. Only reads.
 *
 * @module
 */
import { listDatabases, parseNamePattern, readClusterFacts } from "../../catalog/internal.ts";
import { examineLedger } from "../../checkpoint/internal.ts";
import { ledgerSchema, tableKey } from "../../core/internal.ts";
import { type Endpoint, openSession, type Session, withDatabase } from "../../postgres/internal.ts";
import {
  type ApplierReading,
  listClientAppliers,
  listFullTables,
  listOwnedPublications,
  listOwnedSlots,
  listOwnedSubscriptions,
  listTableSyncSlots,
  type OwnedApplier,
  type OwnedPublication,
  type OwnedSlot,
  readAppliers,
  type ScopeComment,
  type TableSyncSlot,
} from "../../replication/internal.ts";
import type { DatabaseSelection } from "../shared/run.ts";
import { type DistrustedCutover, findCutover, type FoundCutover } from "./find_cutovers.ts";

/** A publication in its database. */
export interface FoundPublication extends OwnedPublication {
  readonly database: string;
}

/** An applier, with its comment. */
export interface FoundApplier extends OwnedApplier {
  /** Undefined if it cannot be read. */
  readonly applier: ApplierReading | undefined;
  readonly scopeComment: ScopeComment | undefined;
}

/** The record of an unfinished copy. */
export interface FoundLedger {
  readonly database: string;
  /** System identifier of the source. */
  readonly sourceSystem: string | undefined;
  readonly sourceDatabase: string | undefined;
  /** Why the tool cannot have created it; its contents were not read then. */
  readonly foreign: string | undefined;
}

/** The objects found on the source. */
export interface SourceFindings {
  readonly system: string | undefined;
  readonly slots: readonly OwnedSlot[];
  readonly tableSyncSlots: readonly TableSyncSlot[];
  readonly publications: readonly FoundPublication[];
  readonly cutovers: readonly FoundCutover[];
  readonly distrusted: readonly DistrustedCutover[];
}

/** The objects found on the target. */
export interface TargetFindings {
  readonly system: string | undefined;
  readonly appliers: readonly FoundApplier[];
  readonly ledgers: readonly FoundLedger[];
  readonly cutovers: readonly FoundCutover[];
  readonly distrusted: readonly DistrustedCutover[];
  /** Tables with REPLICA IDENTITY FULL, by database and `tableKey`. */
  readonly full: ReadonlyMap<string, ReadonlySet<string>>;
}

/** Searches all databases of the source. */
export async function findOnSource(
  endpoint: Endpoint,
  session: Session,
  signal: AbortSignal,
): Promise<SourceFindings> {
  const publications: FoundPublication[] = [];
  const cutovers: (FoundCutover | DistrustedCutover)[] = [];
  await eachDatabase(endpoint, session, signal, async (database, inside) => {
    for (const publication of await listOwnedPublications(inside)) {
      publications.push({ ...publication, database });
    }
    const cutover = await findCutover(inside, { database, side: "source" });
    if (cutover !== undefined) cutovers.push(cutover);
  });
  return {
    system: (await readClusterFacts(session)).systemIdentifier,
    slots: await listOwnedSlots(session),
    tableSyncSlots: await listTableSyncSlots(session),
    publications,
    ...sortByTrust(cutovers),
  };
}

/** Searches all databases of the target. */
export async function findOnTarget(
  endpoint: Endpoint,
  session: Session,
  signal: AbortSignal,
): Promise<TargetFindings> {
  const subscriptions = await listOwnedSubscriptions(session);
  const appliers: FoundApplier[] = [];
  const ledgers: FoundLedger[] = [];
  const cutovers: (FoundCutover | DistrustedCutover)[] = [];
  const full = new Map<string, ReadonlySet<string>>();
  await eachDatabase(endpoint, session, signal, async (database, inside) => {
    const listed: readonly OwnedApplier[] = [
      ...subscriptions.filter((each) => each.database === database)
        .map((each) => ({ ...each, kind: "subscription" as const })),
      ...await listClientAppliers(inside),
    ];
    const readings = listed.length === 0 ? [] : await readAppliers(inside);
    for (const each of listed) {
      const applier = readings.find(({ name }) => name === each.name);
      appliers.push({ ...each, applier, scopeComment: applier?.scopeComment });
    }
    full.set(database, new Set((await listFullTables(inside)).map((table) => tableKey(table))));
    const ledger = await findLedger(inside, database);
    if (ledger !== undefined) ledgers.push(ledger);
    const cutover = await findCutover(inside, { database, side: "target" });
    if (cutover !== undefined) cutovers.push(cutover);
  });
  const system = (await readClusterFacts(session)).systemIdentifier;
  return { system, appliers, ledgers, ...sortByTrust(cutovers), full };
}

function sortByTrust(
  found: readonly (FoundCutover | DistrustedCutover)[],
): Pick<SourceFindings, "cutovers" | "distrusted"> {
  return {
    cutovers: found.flatMap((each) => "distrust" in each ? [] : [each]),
    distrusted: found.flatMap((each) => "distrust" in each ? [each] : []),
  };
}

async function eachDatabase(
  endpoint: Endpoint,
  server: Session,
  signal: AbortSignal,
  visit: (database: string, session: Session) => Promise<void>,
): Promise<void> {
  for (
    const { name, allowConnections, canConnect, isInvalid } of await listDatabases(server, {
      withSizes: false,
    })
  ) {
    if (!allowConnections || !canConnect || isInvalid) continue;
    await using session = await openSession(withDatabase(endpoint, name), { signal });
    await visit(name, session);
  }
}

// the comment distinguishes the ledger from another schema of the same name
const ledgerStatement = `
  SELECT pg_catalog.to_regclass('${ledgerSchema}.run') IS NOT NULL AS has_run
    FROM pg_catalog.pg_namespace AS n
   WHERE n.nspname = '${ledgerSchema}'
     AND pg_catalog.obj_description(n.oid, 'pg_namespace') LIKE 'postgres-seren-replicator:%'`;

const runStatement = `SELECT document FROM ${ledgerSchema}.run`;

async function findLedger(session: Session, database: string): Promise<FoundLedger | undefined> {
  const [ledger] = await session.query<{ has_run: boolean }>(ledgerStatement);
  if (ledger === undefined) return undefined;
  // a view of another role in its place would run that role's code when a superuser reads it
  const [foreign] = (await examineLedger(session)).problems;
  const isReadable = ledger.has_run && foreign === undefined;
  const [run] = isReadable ? await session.query<{ document: string }>(runStatement) : [];
  const source = run === undefined ? undefined : readSource(run.document);
  return {
    database,
    sourceSystem: source?.systemIdentifier,
    sourceDatabase: source?.database,
    foreign,
  };
}

function readSource(
  document: string,
): { readonly systemIdentifier?: string; readonly database?: string } | undefined {
  try {
    return (JSON.parse(document) as { source?: { systemIdentifier?: string; database?: string } })
      .source;
  } catch (error) {
    // damaged, but still the tool's ledger
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/**
 * Whether an object belongs to a selected database. One matching name suffices, because the
 * database may have different names on the two sides.
 */
export function isSelected(
  databases: readonly (string | undefined)[],
  { include, exclude }: Pick<DatabaseSelection, "include" | "exclude">,
): boolean {
  const named = (list: readonly string[]) =>
    list.some((text) => {
      const pattern = parseNamePattern(text);
      return "matches" in pattern &&
        databases.some((database) => database !== undefined && pattern.matches(database));
    });
  return (include.length === 0 || named(include)) && !named(exclude);
}

/** Whether two system identifiers differ. Addresses recorded in their place are inconclusive. */
export function differ(described: string | undefined, system: string | undefined): boolean {
  return described !== undefined && system !== undefined && /^\d+$/.test(described) &&
    described !== system;
}
