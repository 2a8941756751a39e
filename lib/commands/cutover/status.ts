/**
 * `cutover status`: in which phase each database is, and what to run next.
 *
 * @module
 */
import { retry } from "../../core/internal.ts";
import { openSession, ServerError } from "../../postgres/internal.ts";
import {
  closedSideIn,
  closedSideOf,
  contradictionMessage,
  contradictionRemedy,
  countingSide,
  interruptedSwitch,
  judgeKeptSlot,
  type PreflightFinding,
  readForeignChanges,
  readForwardStreams,
  readKeptSlot,
  readRefusals,
  readUnfinishedSwitch,
  type TripwireFinding,
  type UnfinishedSwitch,
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
 * next step, and the next command. Only reads, except that the slots of the tripwire advance past
 * what it has checked.
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
    const isKnown = phase !== "none" || await isConnected(database, run.signal);
    const wayBack = record?.details.back != null;
    const unfinished = await unfinishedOf(database, run.signal);
    known.push({ phase, unfinished, wayBack, isKnown });
    const { tripwire, unarmed } = await tripwireOf(database, run.signal);
    reports.push({
      source: source.database,
      target: target.database,
      phase,
      isKnown,
      unfinished,
      since: changes.sort().at(-1) ?? null,
      tables: database.scope.tables.length,
      wayBack,
      tripwire,
      refusedWrites: await refusedWritesOf(database, run.signal),
      findings: isKnown
        ? [...await findingsOf(database, run.signal), ...unarmed]
        : [unknown(source.database)],
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

/** A switch that is running, or was interrupted. */
async function unfinishedOf(
  { target, records }: CutoverDatabase,
  signal: AbortSignal,
): Promise<UnfinishedSwitch | null> {
  if (interruptedSwitch(records) === undefined) return null;
  await using session = await retry(() => openSession(target, { signal }), { signal });
  return await readUnfinishedSwitch(records, session) ?? null;
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

function contradiction(database: string): PreflightFinding {
  return {
    severity: "problem",
    database,
    side: undefined,
    message: contradictionMessage,
    remedy: contradictionRemedy,
  };
}

interface TripwireStatus {
  readonly tripwire: readonly TripwireFinding[];
  /** Why changes cannot be found. */
  readonly unarmed: readonly PreflightFinding[];
}

/** How long the changes of one closed side are read; the next check continues there. */
const tripwireTimeoutMs = 10_000;

async function tripwireOf(
  database: CutoverDatabase,
  signal: AbortSignal,
): Promise<TripwireStatus> {
  const side = closedSideIn(database.phase);
  const record = side && database.records[side];
  // while a switch turns replication around, the slots are in use
  const isTurning = interruptedSwitch(database.records)?.isTurning === true;
  if (side === undefined || record === undefined || isTurning) return { tripwire: [], unarmed: [] };
  const endpoint = database[side];
  await using session = await retry(() => openSession(endpoint, { signal }), { signal });
  const unarmed = (reason: string): TripwireStatus => ({
    tripwire: [],
    unarmed: [{
      severity: "warning",
      database: endpoint.database,
      side,
      message: `the tripwire is not armed, changes on the closed side are not found: ${reason}`,
      remedy: "if the slot was lost or dropped, the next switch creates it again",
    }],
  });
  try {
    const changes = await readForeignChanges(session, closedSideOf(record), {
      advances: true,
      timeoutMs: tripwireTimeoutMs,
    });
    return changes.isKnown ? { tripwire: changes.found, unarmed: [] } : unarmed(changes.reason);
  } catch (error) {
    // the slot was lost or dropped, or another command reads it
    if (!(error instanceof ServerError)) throw error;
    return unarmed(error.message);
  }
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

/** A slot of the way back that retains too much WAL while the source is in use. */
async function keptSlotOf(
  { target, records, phase }: CutoverDatabase,
  signal: AbortSignal,
): Promise<readonly PreflightFinding[]> {
  const name = records.target?.details.back ?? undefined;
  if (phase !== "prepared" || name === undefined) return [];
  await using session = await retry(() => openSession(target, { signal }), { signal });
  const slot = await readKeptSlot(session, name);
  const found = slot && judgeKeptSlot(slot);
  if (found === undefined) return [];
  return [{ severity: "warning", database: target.database, side: "target", ...found }];
}

/** How long the backend of a command that has just ended may take to end. */
const endingMs = 500;

async function findingsOf(
  database: CutoverDatabase,
  signal: AbortSignal,
): Promise<readonly PreflightFinding[]> {
  if (database.phase === "contradictory") return [contradiction(database.source.database)];
  if (database.phase !== "prepared" && database.phase !== "switched") return [];
  const route = routeOf(database, database.phase === "prepared" ? "run" : "rollback");
  if (route.out.length === 0) return [];
  return [
    ...await keptSlotOf(database, signal),
    ...await examineLocks([database], { waitMs: endingMs, signal }),
    ...await examineRoute(route, {
      oldTransactionMs: 30_000,
      tripwireMs: tripwireTimeoutMs,
      signal,
    }),
  ];
}
