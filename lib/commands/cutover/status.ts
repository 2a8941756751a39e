/**
 * `cutover status`: in which phase each database is, and what to run next.
 *
 * @module
 */
import { retry } from "../../core/internal.ts";
import { openSession } from "../../postgres/internal.ts";
import {
  countingSide,
  fenceOf,
  type PreflightFinding,
  readForwardStreams,
  readLateChanges,
  readOrigins,
  readRefusals,
  readTripwire,
  type TripwireFinding,
} from "../../cutover/internal.ts";
import { examineLocks } from "./examine_locks.ts";
import { examineRoute } from "./examine_route.ts";
import { cutoverNextSteps, type NextInput } from "./next.ts";
import { prepareEndpoints } from "../shared/prepare_endpoints.ts";
import type { RunContext } from "../shared/run.ts";
import { type CutoverDatabase, type CutoverServers, readCutover, routeOf } from "./read_cutover.ts";
import type { CutoverStatusReport } from "./report.ts";

/**
 * Reports the phase of every database, changes on closed sides (the tripwire), what prevents the
 * next step, and the next command. Only reads.
 *
 * Requires `--allow-net` for both servers.
 */
export async function executeCutoverStatus(
  given: CutoverServers,
  run: RunContext,
): Promise<CutoverStatusReport> {
  const options = prepareEndpoints(given, run.events);
  const databases = await readCutover(options, run);
  const reports: CutoverStatusReport["databases"][number][] = [];
  const known: NextInput[] = [];
  for (const database of databases) {
    const { source, target, records, phase } = database;
    const record = records.source ?? records.target;
    const changes = [records.source, records.target].flatMap((each) =>
      each === undefined ? [] : [each.changedAt]
    );
    const isReplicated = phase !== "none" || await isConnected(database, run.signal);
    const wayBack = record?.details.back != null;
    known.push({ phase, wayBack, isReplicated });
    reports.push({
      source: source.database,
      target: target.database,
      phase,
      since: changes.sort().at(-1) ?? null,
      tables: record?.details.tables.length ?? 0,
      wayBack,
      tripwire: await tripwireOf(database, run.signal),
      refusedWrites: await refusedWritesOf(database, run.signal),
      findings: isReplicated ? await findingsOf(database, run.signal) : [unknown(source.database)],
    });
  }
  return { databases: reports, next: cutoverNextSteps(known).map(({ command }) => command) };
}

/** Whether a stream brings the changes of the database to the target. */
async function isConnected(
  database: CutoverDatabase,
  signal: AbortSignal,
): Promise<boolean> {
  await using source = await retry(() => openSession(database.source, { signal }), { signal });
  await using target = await retry(() => openSession(database.target, { signal }), { signal });
  return (await readForwardStreams({ source, target })).names.length > 0;
}

function unknown(database: string): PreflightFinding {
  return {
    severity: "warning",
    database,
    side: undefined,
    message:
      "no stream replicates it to the target, and no cutover is recorded: which side is in use is not known",
    remedy:
      "after a finished cutover whose records cleanup has removed, the target is in use, and nothing is left to do",
  };
}

async function tripwireOf(
  database: CutoverDatabase,
  signal: AbortSignal,
): Promise<readonly TripwireFinding[]> {
  if (database.phase !== "switched") return [];
  const { from, out, back, fromRecord } = routeOf(database, "run");
  await using session = await retry(() => openSession(from, { signal }), { signal });
  const origins = await readOrigins(session, back);
  // changes that the tool applies without an origin could not be told from others
  if (origins === undefined) return [];
  if (fenceOf(fromRecord) === "sessions") {
    const tokens = fromRecord.details.evidence?.tokens ?? [];
    return await readLateChanges(session, { tokens, back }) ?? [];
  }
  const found: TripwireFinding[] = [];
  for (const name of out) {
    found.push(...await readTripwire(session, { slot: name, publication: name, origins }));
  }
  return found;
}

async function refusedWritesOf(
  database: CutoverDatabase,
  signal: AbortSignal,
): Promise<number | null> {
  const side = countingSide(database.phase);
  if (side === undefined || database.records[side] === undefined) return null;
  await using session = await retry(() => openSession(database[side], { signal }), { signal });
  return await readRefusals(session);
}

/** How long the backend of a command that has just ended may take to end. */
const endingMs = 500;

async function findingsOf(
  database: CutoverDatabase,
  signal: AbortSignal,
): Promise<readonly PreflightFinding[]> {
  if (database.phase !== "prepared" && database.phase !== "switched") return [];
  const route = routeOf(database, database.phase === "prepared" ? "run" : "rollback");
  if (route.out.length === 0) return [];
  return [
    ...await examineLocks([database], { waitMs: endingMs, signal }),
    ...await examineRoute(route, { oldTransactionMs: 30_000, signal }),
  ];
}
