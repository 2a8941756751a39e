/**
 * The databases of a cutover: which, in which phase, and the route of a switch.
 *
 * @module
 */
import { planReadOnly, refuseSameDatabases } from "../shared/database_plan.ts";
import type { SwitchDirection } from "./report.ts";
import {
  connectionDelaysMs,
  ExitCode,
  plural,
  ReplicatorError,
  retry,
  UsageError,
} from "../../core/internal.ts";
import { type Endpoint, openSession, type Session, withDatabase } from "../../postgres/internal.ts";
import {
  currentScope,
  type CutoverPhase,
  type CutoverScope,
  type DatabaseRoute,
  phaseOf,
  readSide,
  readSideTables,
  routeBetween,
  type SideRecords,
} from "../../cutover/internal.ts";
import type { ServerSummary } from "../shared/report.ts";
import { openServerPair, summarize } from "../shared/server_pair.ts";
import type { DatabaseSelection, RunContext } from "../shared/run.ts";

/** The two servers and the databases. */
export interface CutoverServers {
  /** The server in use before the cutover. */
  readonly source: Endpoint;
  /** The server in use after it. */
  readonly target: Endpoint;
  /** Databases by their names on the source, and their names on the target. */
  readonly databases: DatabaseSelection;
}

/** A database of a cutover. */
export interface CutoverDatabase {
  readonly source: Endpoint;
  readonly target: Endpoint;
  readonly records: SideRecords;
  readonly phase: CutoverPhase;
  /** Its tables as they are now; none in the phase `none`. */
  readonly scope: CutoverScope;
}

/**
 * Finds the databases and reads the records of both sides.
 *
 * @throws UsageError for a wrong selection, ReplicatorError for databases that the target lacks
 */
export async function readCutover(
  { source, target, databases }: CutoverServers,
  { events, signal }: RunContext,
): Promise<readonly CutoverDatabase[]> {
  await using sides = await openServerPair(
    { source, target, retryDelaysMs: connectionDelaysMs },
    { events, signal },
  );
  const planning = await planReadOnly(sides, { selected: { target, databases }, signal });
  if (planning.problems.length > 0) throw new UsageError(planning.problems);
  refuseSameDatabases(planning);
  const found: CutoverDatabase[] = [];
  const isChosen = databases.include.length > 0;
  const missing: string[] = [];
  for (const planned of planning.databases) {
    if (planned.existing === undefined) {
      if (isChosen) missing.push(planned.target);
      continue;
    }
    found.push(
      await readDatabase({
        source: withDatabase(source, planned.source.name),
        target: withDatabase(target, planned.target),
        signal,
      }),
    );
  }
  if (missing.length > 0 || found.length === 0) throw missingDatabases(missing);
  return found;
}

async function readDatabase(
  { source, target, signal }: {
    readonly source: Endpoint;
    readonly target: Endpoint;
    readonly signal: AbortSignal;
  },
): Promise<CutoverDatabase> {
  const read = async <Result>(
    endpoint: Endpoint,
    work: (session: Session) => Promise<Result>,
  ): Promise<Result> => {
    await using session = await retry(() => openSession(endpoint, { signal }), { signal });
    return await work(session);
  };
  const [onSource, onTarget] = await Promise.all([read(source, readSide), read(target, readSide)]);
  const records = { source: onSource, target: onTarget };
  refuseSwapped(records, { source, target });
  const recorded = (onSource ?? onTarget)?.details.tables ?? [];
  const readTables = (session: Session) => readSideTables(session, recorded);
  const scope = recorded.length === 0 ? { tables: [], gone: [] } : currentScope(records, {
    source: await read(source, readTables),
    target: await read(target, readTables),
  });
  return { source, target, records, phase: phaseOf(records), scope };
}

/** A URL that lists the hosts of both sides, as those of clients do, may lead to the other one. */
function refuseSwapped(
  records: SideRecords,
  endpoints: { readonly source: Endpoint; readonly target: Endpoint },
): void {
  for (const side of ["source", "target"] as const) {
    const record = records[side];
    if (record === undefined || record.details.side === side) continue;
    throw new ReplicatorError(
      `the URL of the ${side} leads to the ${record.details.side} of the cutover`,
      {
        side,
        object: `database ${endpoints[side].database}`,
        remedy: `name only the host of the ${side} in its URL`,
        exitCode: ExitCode.prerequisite,
      },
    );
  }
}

/** Describes both servers, by a database that exists on each. */
export async function describeServers(
  { source, target }: Pick<CutoverDatabase, "source" | "target">,
  signal: AbortSignal,
): Promise<{ readonly source: ServerSummary; readonly target: ServerSummary }> {
  const describe = async (endpoint: Endpoint) => {
    await using session = await retry(() => openSession(endpoint, { signal }), { signal });
    return await summarize(session);
  };
  const [onSource, onTarget] = await Promise.all([describe(source), describe(target)]);
  return { source: onSource, target: onTarget };
}

/** The route of a database in one direction. Both records must exist. */
export function routeOf(database: CutoverDatabase, direction: SwitchDirection): DatabaseRoute {
  return routeBetween(database, direction);
}

/** The databases of one cutover, which are closed and opened together. */
export function incompleteSets(databases: readonly CutoverDatabase[]): readonly string[] {
  const selected = new Set(databases.map(({ source }) => source.database));
  const together = new Set(
    databases.flatMap(({ records }) => (records.source ?? records.target)?.details.databases ?? []),
  );
  return [...together].filter((name) => !selected.has(name));
}

function missingDatabases(names: readonly string[]): ReplicatorError {
  return new ReplicatorError(
    names.length === 0
      ? "the target has none of the source's databases"
      : `${plural(names.length, "database is", "databases are")} missing on the target: ${
        names.join(", ")
      }`,
    {
      side: "target",
      remedy: "copy them first with init --enable-sync, or select others with --include-databases",
      exitCode: ExitCode.prerequisite,
    },
  );
}
