/**
 * Finding what is ours between two servers. Only reads.
 *
 * @module
 */
import { listDatabases, parseNamePattern, readClusterFacts } from "../../catalog/internal.ts";
import { examineLedger } from "../../checkpoint/internal.ts";
import { ledgerSchema, tableKey } from "../../core/internal.ts";
import { type Endpoint, openSession, type Session, withDatabase } from "../../postgres/internal.ts";
import {
  listAppliers,
  listFullTables,
  listOwnedPublications,
  listOwnedSlots,
  listTableSyncSlots,
  type OwnedApplier,
  type OwnedPublication,
  type OwnedSlot,
  readAppliers,
  type ScopeComment,
  type TableSyncSlot,
} from "../../replication/internal.ts";
import type { DatabaseSelection } from "../shared/run.ts";

/** A publication in its database. */
export interface FoundPublication extends OwnedPublication {
  readonly database: string;
}

/** A subscription, with its comment. */
export interface FoundSubscription extends OwnedApplier {
  readonly oid: number | undefined;
  readonly descriptor: ScopeComment | undefined;
}

/** The record of an unfinished copy. */
export interface FoundLedger {
  readonly database: string;
  /** Of the server that was copied from. */
  readonly sourceSystem: string | undefined;
  readonly sourceDatabase: string | undefined;
  /** Why the tool cannot have made it; then nothing in it was read. */
  readonly foreign: string | undefined;
}

/** What is on the source. */
export interface SourceFindings {
  readonly system: string | undefined;
  readonly slots: readonly OwnedSlot[];
  readonly tableSyncSlots: readonly TableSyncSlot[];
  readonly publications: readonly FoundPublication[];
}

/** What is on the target. */
export interface TargetFindings {
  readonly system: string | undefined;
  readonly subscriptions: readonly FoundSubscription[];
  readonly ledgers: readonly FoundLedger[];
  /** Tables with REPLICA IDENTITY FULL, by database and `tableKey`. */
  readonly full: ReadonlyMap<string, ReadonlySet<string>>;
}

/** Looks through all databases of the source. */
export async function findOnSource(
  endpoint: Endpoint,
  session: Session,
  signal: AbortSignal,
): Promise<SourceFindings> {
  const publications: FoundPublication[] = [];
  await eachDatabase(endpoint, session, signal, async (database, inside) => {
    for (const publication of await listOwnedPublications(inside)) {
      publications.push({ ...publication, database });
    }
  });
  return {
    system: (await readClusterFacts(session)).systemIdentifier,
    slots: await listOwnedSlots(session),
    tableSyncSlots: await listTableSyncSlots(session),
    publications,
  };
}

/** Looks through all databases of the target. */
export async function findOnTarget(
  endpoint: Endpoint,
  session: Session,
  signal: AbortSignal,
): Promise<TargetFindings> {
  const listed = await listAppliers(session);
  const subscriptions: FoundSubscription[] = [];
  const ledgers: FoundLedger[] = [];
  const full = new Map<string, ReadonlySet<string>>();
  await eachDatabase(endpoint, session, signal, async (database, inside) => {
    const here = listed.filter((each) => each.database === database);
    if (here.length > 0) {
      const appliers = await readAppliers(inside);
      for (const each of here) {
        const applier = appliers.find(({ name }) => name === each.name);
        subscriptions.push({ ...each, oid: applier?.oid, descriptor: applier?.descriptor });
      }
    }
    full.set(database, new Set((await listFullTables(inside)).map((table) => tableKey(table))));
    const ledger = await readLedger(inside, database);
    if (ledger !== undefined) ledgers.push(ledger);
  });
  const system = (await readClusterFacts(session)).systemIdentifier;
  return { system, subscriptions, ledgers, full };
}

async function eachDatabase(
  endpoint: Endpoint,
  server: Session,
  signal: AbortSignal,
  visit: (database: string, session: Session) => Promise<void>,
): Promise<void> {
  for (const { name, allowConnections, canConnect, isInvalid } of await listDatabases(server)) {
    if (!allowConnections || !canConnect || isInvalid) continue;
    await using session = await openSession(withDatabase(endpoint, name), { signal });
    await visit(name, session);
  }
}

// the comment tells ours from a schema of somebody who likes the name
const ledgerStatement = `
  SELECT pg_catalog.to_regclass('${ledgerSchema}.run') IS NOT NULL AS has_run
    FROM pg_catalog.pg_namespace AS n
   WHERE n.nspname = '${ledgerSchema}'
     AND pg_catalog.obj_description(n.oid, 'pg_namespace') LIKE 'postgres-seren-replicator:%'`;

const runStatement = `SELECT document FROM ${ledgerSchema}.run`;

async function readLedger(session: Session, database: string): Promise<FoundLedger | undefined> {
  const [ledger] = await session.query<{ has_run: boolean }>(ledgerStatement);
  if (ledger === undefined) return undefined;
  // read by a superuser, a view of somebody else's in its place would run their code
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
    // half written by nobody we know; it is ours all the same
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/**
 * Whether the databases of a thing are among those that were named; one name is enough, for a
 * database may have two.
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

/**
 * Whether two servers are known to be different ones. Addresses in place of identifiers tell
 * nothing.
 */
export function differ(described: string | undefined, system: string | undefined): boolean {
  return described !== undefined && system !== undefined && /^\d+$/.test(described) &&
    described !== system;
}
