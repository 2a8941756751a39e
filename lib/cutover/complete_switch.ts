/**
 * Switches that died: completing one whose side was closed, and undoing one that was turning
 * replication around.
 *
 * @module
 */
import { errorMessage, retry } from "../core/internal.ts";
import {
  durableSettings,
  openSession,
  type Session,
  silenceEventTriggers,
} from "../postgres/internal.ts";
import { commitSide } from "./commit.ts";
import { interruptedSwitch, sideRecordsOf } from "./interrupted_switch.ts";
import {
  endOwnSessions,
  isSwitchAnnounced,
  lockCutover,
  OtherCommandError,
  overtaken,
} from "./lock.ts";
import { isSamePosition, isSameState, withTurning } from "./model.ts";
import { beginOpening } from "./open_side.ts";
import { readSide, replaceSide } from "./own_schema.ts";
import type { DatabaseRoute } from "./route.ts";
import { reopenSessions } from "./session_fence.ts";
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
  const movedBy = crypto.randomUUID();
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
      await replaceSide(onFrom, route.fromRecord, withTurning(route.fromRecord, false));
    }
    await silenceEventTriggers(onTo);
    await beginOpening(onTo, {
      tables: route.tables,
      record: route.toRecord,
      movedBy,
      timeoutMs: openingTimeoutMs,
    });
    await commitSide(onTo, {
      timeoutMs: openingTimeoutMs,
      isCommitted: (record) => record?.isOpen === true && record.details.movedBy === movedBy,
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

/**
 * Restores the streams if an earlier attempt died while it was turning them around.
 *
 * @returns the route with the current records
 * @throws OtherCommandError if another command is working on the databases
 */
export async function restoreIfTurning(given: DatabaseRoute): Promise<DatabaseRoute> {
  if (interruptedSwitch(sideRecordsOf(given))?.isTurning !== true) return given;
  await using onFrom = await retry(() => openSession(given.from));
  await using onTo = await retry(() => openSession(given.to, { settings: durableSettings }));
  await lockCutover(onFrom);
  await lockCutover(onTo);
  const route = await refresh(given, { from: onFrom, to: onTo });
  if (!route.fromRecord.isOpen) throw overtaken(route.from);
  return await restoreTurning(route, { onFrom, onTo });
}

/** Restores the streams if the records say that they are being turned around. */
export async function restoreTurning(
  route: DatabaseRoute,
  sessions: LockedSessions,
): Promise<DatabaseRoute> {
  if (interruptedSwitch(sideRecordsOf(route))?.isTurning !== true) return route;
  await restoreStreams(route, sessions);
  const toRecord = withTurning(route.toRecord, false);
  await replaceSide(sessions.onTo, route.toRecord, toRecord);
  return { ...route, toRecord };
}

/** Sessions that hold the lock of both sides. */
interface LockedSessions {
  readonly onFrom: Session;
  readonly onTo: Session;
}

/**
 * Undoes what a switch has changed that has closed nothing: new sessions of `from` may write again,
 * then the streams are restored. Under the lock, and only if no side has been opened or closed
 * since the route was read: otherwise all of that belongs to another command. Writers do not depend
 * on `to`, which may be what has failed: whoever moves the database needs the lock of `from` as
 * well, and changes its record.
 *
 * @param options `own`: process IDs of the backends of the switch's sessions, which are ended
 * first; `onWritable`: called once writers of `from` can continue, before `to` is asked for
 * anything
 * @returns what could not be undone, in sentences
 * @throws OtherCommandError if another command is working on `from` or has changed its state;
 * nothing was changed then
 */
export async function undoSwitch(
  given: DatabaseRoute,
  { own = { from: [], to: [] }, onWritable = () => {} }: {
    readonly own?: { readonly from: readonly number[]; readonly to: readonly number[] };
    readonly onWritable?: () => void;
  } = {},
): Promise<readonly string[]> {
  const { database: name } = given.from;
  await using onFrom = await retry(() => openSession(given.from, { settings: undoSettings }));
  await endOwnSessions(onFrom, own.from);
  await lockCutover(onFrom);
  const fromRecord = await readSide(onFrom);
  if (fromRecord === undefined || !isSamePosition(fromRecord, given.fromRecord)) {
    throw overtaken(given.from);
  }
  const left: string[] = [];
  try {
    await reopenSessions(onFrom, fromRecord);
  } catch (error) {
    if (error instanceof OtherCommandError) throw error;
    left.push(
      `${name} is still read-only by default, run the same command again: ${errorMessage(error)}`,
    );
  }
  onWritable();
  try {
    await restoreOnTo(given, { onFrom, own: own.to });
  } catch (error) {
    left.push(`replication of ${name} was not restored: ${errorMessage(error)}`);
  }
  return left;
}

/** Clients and hooks wait for what is undone: a lock of another session must not hold it up. */
const undoSettings = { ...durableSettings, lock_timeout: "10s" } as const;

/**
 * Restores the streams if they are being turned around: the other half of {@linkcode undoSwitch}.
 */
async function restoreOnTo(
  given: DatabaseRoute,
  { onFrom, own }: { readonly onFrom: Session; readonly own: readonly number[] },
): Promise<void> {
  await using onTo = await retry(() => openSession(given.to, { settings: undoSettings }));
  await endOwnSessions(onTo, own);
  const read = async () => {
    const route = await refresh(given, { from: onFrom, to: onTo });
    if (!isSamePosition(route.toRecord, given.toRecord)) throw overtaken(given.to);
    return route;
  };
  // no switch can begin: `sync`, which may hold the lock for long, is no reason to complain
  if (interruptedSwitch(sideRecordsOf(await read()))?.isTurning !== true) return;
  await lockCutover(onTo);
  await restoreTurning(await read(), { onFrom, onTo });
}

/**
 * Whether another switch has the database now: it has opened or closed `from` since the route was
 * read, or its hooks may hold clients.
 *
 * @param own process IDs of the backends of the caller's sessions
 */
export async function isTakenOver(
  { from, fromRecord }: DatabaseRoute,
  own: readonly number[],
): Promise<boolean> {
  await using session = await retry(() => openSession(from, { settings: undoSettings }));
  // in this order: one that ends in between has changed the record
  if (await isSwitchAnnounced(session, own)) return true;
  const record = await readSide(session);
  return record !== undefined && !isSamePosition(record, fromRecord);
}
