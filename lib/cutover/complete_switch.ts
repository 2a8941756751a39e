/**
 * Switches that died: completing one whose side was closed, and undoing one that was turning
 * replication around.
 *
 * @module
 */
import { ExitCode, ReplicatorError, retry } from "../core/internal.ts";
import {
  durableSettings,
  type Endpoint,
  openSession,
  type Session,
  silenceEventTriggers,
} from "../postgres/internal.ts";
import { commitSide } from "./commit.ts";
import { interruptedSwitch, sideRecordsOf } from "./interrupted_switch.ts";
import { lockCutover } from "./lock.ts";
import { isSameState, withTurning } from "./model.ts";
import { beginOpening } from "./open_side.ts";
import { readSide, recordSideStatement } from "./own_schema.ts";
import type { DatabaseRoute } from "./route.ts";
import { restoreStreams, turnAround } from "./turn_streams.ts";

const openingTimeoutMs = 10_000;

const openingDelaysMs: readonly number[] = [200, 500, 1_000, 2_000, 5_000, 10_000, 10_000, 10_000];

/**
 * Completes an interrupted switch of a closed database: turns replication around if that is not so
 * yet, then opens the other side. Nothing can have been written on either side since. Holds the
 * lock of both sides in the meantime, so that no other command opens the side that was in use.
 *
 * @throws ReplicatorError if another command has opened a side
 */
export async function completeSwitch(given: DatabaseRoute): Promise<void> {
  await retry(async () => {
    await using onFrom = await openSession(given.from, { settings: durableSettings });
    await using onTo = await openSession(given.to, { settings: durableSettings });
    await lockCutover(onFrom);
    await lockCutover(onTo);
    const route = await refresh(given, { from: onFrom, to: onTo });
    if (route.fromRecord.isOpen) throw overtaken(given.from);
    if (route.toRecord.isOpen) return; // the answer to its COMMIT was lost
    await turnAround(route, { onFrom, onTo });
    if (route.fromRecord.details.isTurning) {
      // of the switch that closed `to`, and is taken back
      await onFrom.execute(recordSideStatement(withTurning(route.fromRecord, false)));
    }
    await silenceEventTriggers(onTo);
    await beginOpening(onTo, {
      tables: route.tables,
      record: route.toRecord,
      timeoutMs: openingTimeoutMs,
    });
    await commitSide(onTo, {
      timeoutMs: openingTimeoutMs,
      isCommitted: (record) => record?.isOpen === true,
    });
  }, { delaysMs: openingDelaysMs });
}

/** The route with the current records. */
async function refresh(
  route: DatabaseRoute,
  { from, to }: { readonly from: Session; readonly to: Session },
): Promise<DatabaseRoute> {
  const [fromRecord, toRecord] = [await readSide(from), await readSide(to)];
  if (fromRecord?.id !== route.fromRecord.id || toRecord?.id !== route.toRecord.id) {
    throw overtaken(route.from);
  }
  return { ...route, fromRecord, toRecord };
}

/** @throws ReplicatorError if another command has changed the phase since the route was read */
export async function refuseStale(
  route: DatabaseRoute,
  sessions: { readonly from: Session; readonly to: Session },
): Promise<void> {
  const { fromRecord, toRecord } = await refresh(route, sessions);
  if (!isSameState(fromRecord, route.fromRecord) || !isSameState(toRecord, route.toRecord)) {
    throw overtaken(route.from);
  }
}

/** The refusal of a command whose databases another one has moved in the meantime. */
export function overtaken({ side, database }: Endpoint): ReplicatorError {
  return new ReplicatorError("another command has changed the state of the cutover", {
    side,
    object: `database ${database}`,
    remedy: "run cutover status to see the current state",
    exitCode: ExitCode.prerequisite,
  });
}

/**
 * Restores the streams if an earlier attempt died while it was turning them around.
 *
 * @returns the route with the current records
 * @throws ReplicatorError if another command is working on the databases
 */
export async function restoreIfTurning(given: DatabaseRoute): Promise<DatabaseRoute> {
  if (interruptedSwitch(sideRecordsOf(given))?.isTurning !== true) return given;
  await using onFrom = await retry(() => openSession(given.from));
  await using onTo = await retry(() => openSession(given.to, { settings: durableSettings }));
  await lockCutover(onFrom);
  await lockCutover(onTo);
  const route = await refresh(given, { from: onFrom, to: onTo });
  if (!route.fromRecord.isOpen) throw overtaken(route.from);
  if (interruptedSwitch(sideRecordsOf(route))?.isTurning !== true) return route;
  await restoreStreams(route);
  const toRecord = withTurning(route.toRecord, false);
  await onTo.execute(recordSideStatement(toRecord));
  return { ...route, toRecord };
}
