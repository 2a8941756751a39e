/**
 * The preflight of a switch along a route.
 *
 * @module
 */
import { quoteLiteral, retry } from "../../core/internal.ts";
import { openSession, ServerError, type Session } from "../../postgres/internal.ts";
import { isSlotLost, readSlots } from "../../replication/internal.ts";
import {
  type DatabaseRoute,
  describeLateChanges,
  fenceOf,
  preflight,
  type PreflightFinding,
  readLateChanges,
  readPreflightFacts,
  readUnfinishedSwitch,
  sideRecordsOf,
} from "../../cutover/internal.ts";

/**
 * Reads both sides of a prepared database and returns every finding about its switch.
 *
 * @param options `oldTransactionMs`: from which age on a transaction is worth a warning;
 * `attendanceMs`: how long to wait for the process that applies changes after the switch
 */
export async function examineRoute(
  route: DatabaseRoute,
  { oldTransactionMs, attendanceMs = 0, signal }: {
    readonly oldTransactionMs: number;
    readonly attendanceMs?: number;
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
    ...(unfinished?.isTurning === true ? [] : await writtenTo(route, to)),
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

/**
 * Changes on the side that would be opened, if it was closed by its sessions only: no stream would
 * carry them.
 */
async function writtenTo(
  { to, toRecord: { isOpen, details }, out }: DatabaseRoute,
  session: Session,
): Promise<readonly PreflightFinding[]> {
  if (isOpen || details.fence !== "sessions" || details.evidence === null) return [];
  const { tokens } = details.evidence;
  const late = await readLateChanges(session, { tokens, back: out, advances: true }).catch(
    (error) => {
      if (error instanceof ServerError) return undefined; // see `lostSlots`
      throw error;
    },
  );
  if (late === undefined || late.length === 0) return [];
  return [{
    severity: "problem",
    database: to.database,
    side: to.side,
    message: `this side was written to while it was closed: ${describeLateChanges(late)}`,
    remedy:
      `compare both sides with verify, and repeat or undo these changes; then on the ${to.side}: ${
        tokens.map(({ stream }) =>
          `SELECT pg_catalog.pg_replication_slot_advance(${
            quoteLiteral(stream).trim()
          }, pg_catalog.pg_current_wal_flush_lsn());`
        ).join(" ")
      }`,
  }];
}
