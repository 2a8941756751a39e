/**
 * The preflight of a switch along a route.
 *
 * @module
 */
import { quoteLiteral, retry } from "../../core/internal.ts";
import { openSession, ServerError, type Session, SqlState } from "../../postgres/internal.ts";
import { isSlotLost, readSlots } from "../../replication/internal.ts";
import {
  closedSideOf,
  type DatabaseRoute,
  describeLateChanges,
  fenceOf,
  type ForeignChanges,
  preflight,
  type PreflightFinding,
  readForeignChanges,
  readPreflightFacts,
  readUnfinishedSwitch,
  sideRecordsOf,
} from "../../cutover/internal.ts";

/**
 * Reads both sides of a prepared database and returns every finding about its switch.
 *
 * @param options `oldTransactionMs`: from which age on a transaction is worth a warning;
 * `attendanceMs`: how long to wait for the process that applies changes after the switch;
 * `tripwireMs`: how long changes on the closed side are looked for, if the caller reports by itself
 * that this was not enough
 */
export async function examineRoute(
  route: DatabaseRoute,
  { oldTransactionMs, attendanceMs = 0, tripwireMs, signal }: {
    readonly oldTransactionMs: number;
    readonly attendanceMs?: number;
    readonly tripwireMs?: number | undefined;
    readonly signal: AbortSignal;
  },
): Promise<readonly PreflightFinding[]> {
  await using from = await retry(() => openSession(route.from, { signal }), { signal });
  await using to = await retry(() => openSession(route.to, { signal }), { signal });
  const unfinished = await readUnfinishedSwitch(sideRecordsOf(route), to);
  const facts = await readPreflightFacts({
    from,
    to,
    streams: route.out,
    tables: route.tables,
    gone: route.gone,
    leftOut: route.fromRecord.details.leftOut,
    wayBack: route.back.length > 0,
    fences: { from: fenceOf(route.fromRecord), to: fenceOf(route.toRecord) },
    starting: route.back,
    attendanceMs,
    unfinished,
    preparing: undefined,
    oldTransactionMs,
  });
  return [
    ...preflight(facts, "switch"),
    ...await lostSlots(route, to),
    ...(unfinished?.isTurning === true
      ? []
      : await writtenTo(route, { session: to, timeoutMs: tripwireMs })),
  ];
}

/** Slots that the side to be opened has kept since it was closed, and that are gone. */
async function lostSlots(
  { to, toRecord: { details }, back }: DatabaseRoute,
  session: Session,
): Promise<readonly PreflightFinding[]> {
  if (details.evidence === null) return []; // never closed: the switch creates them
  const kept = (await readSlots(session, back)).filter((slot) => !isSlotLost(slot));
  const names = new Set(kept.map(({ name }) => name));
  return back.filter((name) => !names.has(name)).map((name) => ({
    severity: "warning",
    database: to.database,
    side: to.side,
    message:
      `the slot ${name}, kept since this side was closed, was lost or dropped: changes made here in the meantime would not be found`,
    remedy:
      "compare both sides with verify; the switch creates the slot again; see max_slot_wal_keep_size",
  }));
}

/** Changes on the side that would be opened, made while it was closed: no stream carries them. */
async function writtenTo(
  { to, toRecord }: DatabaseRoute,
  { session, timeoutMs }: { readonly session: Session; readonly timeoutMs: number | undefined },
): Promise<readonly PreflightFinding[]> {
  if (toRecord.isOpen) return [];
  const place = { database: to.database, side: to.side };
  const closed = closedSideOf(toRecord);
  const changes = await readForeignChanges(session, closed, { advances: true, timeoutMs }).catch(
    (error): ForeignChanges | undefined => {
      if (isSlotMissing(error)) return undefined; // see `lostSlots`
      // another command reads it at the moment
      if (error instanceof ServerError) return { isKnown: false, reason: error.message };
      throw error;
    },
  );
  if (changes === undefined) return [];
  if (!changes.isKnown) {
    return timeoutMs !== undefined ? [] : [{
      ...place,
      severity: "warning",
      message:
        `whether this side was written to while it was closed cannot be determined: ${changes.reason}`,
      remedy: "compare both sides with verify",
    }];
  }
  if (changes.found.length === 0) return [];
  return [{
    ...place,
    severity: "problem",
    message: `this side was written to while it was closed: ${describeLateChanges(changes.found)}`,
    remedy:
      `compare both sides with verify, and repeat or undo these changes; then on the ${to.side}: ${
        closed.leaving.map((slot) =>
          `SELECT pg_catalog.pg_replication_slot_advance(${
            quoteLiteral(slot).trim()
          }, pg_catalog.pg_current_wal_flush_lsn());`
        ).join(" ")
      }`,
  }];
}

/** Whether a slot was dropped, or invalidated. */
function isSlotMissing(error: unknown): boolean {
  return error instanceof ServerError &&
    (error.sqlState === SqlState.undefinedObject ||
      error.sqlState === SqlState.objectNotInPrerequisiteState);
}
