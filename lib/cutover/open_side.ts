/**
 * The transaction that opens a side.
 *
 * @module
 */
import { ExitCode, quoteIdentifier, ReplicatorError, type TableName } from "../core/internal.ts";
import { type Endpoint, ServerError, type Session, SqlState } from "../postgres/internal.ts";
import { type Blocker, blockerRemedy, describeBlocker } from "./blockers.ts";
import { disableFence, fenceMessages } from "./fence.ts";
import { fenceOf, openedRecord, type SideRecord } from "./model.ts";
import { replaceSide } from "./own_schema.ts";
import { tryResetReadOnly } from "./read_only_default.ts";

/**
 * A client that is gone must not hold the locks of the side that should be opened. Besides the
 * pause, the commits of other databases come before this one.
 */
const minSilenceMs = 60_000;

/**
 * Begins the transaction that opens a side, up to its commit.
 *
 * @param options `record`: the record of the side while it is closed; `movedBy`: identifies the
 * command; `timeoutMs`: how long each lock may be waited for; `maxPauseMs`: for how long the commit
 * may be put off
 */
export async function beginOpening(
  session: Session,
  { tables, record, movedBy, timeoutMs, maxPauseMs = 0 }: {
    readonly tables: readonly TableName[];
    readonly record: SideRecord;
    readonly movedBy: string;
    readonly timeoutMs: number;
    readonly maxPauseMs?: number;
  },
): Promise<void> {
  // autovacuum of a large table may hold a lock: then the cutover is abandoned in time
  await session.execute(
    `BEGIN; SET LOCAL synchronous_commit = on; SET LOCAL lock_timeout = ${timeoutMs};
     SET LOCAL idle_in_transaction_session_timeout = ${Math.ceil(minSilenceMs + maxPauseMs)}`,
  );
  if (fenceOf(record) === "triggers") {
    for (const message of fenceMessages(tables, disableFence)) await session.execute(message);
  }
  // waits for another ALTER DATABASE of the database
  if (!await tryResetReadOnly(session)) throw staysReadOnly(session);
  await session.execute("SET LOCAL lock_timeout = 0");
  await replaceSide(session, record, openedRecord(record, movedBy));
}

/** The locks of an opening are held by others. */
export class OpeningBlockedError extends ReplicatorError {
  /** Class name, for `error.name`. */
  override readonly name = "OpeningBlockedError";
  /** Sessions that hold them; empty if they were released before they could be read. */
  readonly blockers: readonly Blocker[];

  constructor(
    { side, database }: Endpoint,
    { blockers, cause }: { readonly blockers: readonly Blocker[]; readonly cause: unknown },
  ) {
    super(
      "other transactions hold locks on the side that is to be opened; writers continue on the side in use",
      {
        side,
        object: `database ${database}`,
        details: blockers.flatMap((blocker) => [
          `${database}: ${describeBlocker(blocker)}`,
          `  → ${blockerRemedy(blocker, side)}`,
        ]),
        remedy: `end them, then run the same command again; cutover ${
          side === "target" ? "run" : "rollback"
        } ends them with --on-blocker cancel or terminate`,
        exitCode: ExitCode.prerequisite,
        cause,
      },
    );
    this.blockers = blockers;
  }
}

/** Whether a statement failed because another session holds a lock. */
export function isHeldByOthers(error: unknown): boolean {
  return error instanceof ServerError &&
    (error.sqlState === SqlState.queryCanceled || error.sqlState === SqlState.lockNotAvailable ||
      error.sqlState === SqlState.deadlockDetected);
}

/** The refusal of a role that may not remove the read-only default. */
export function staysReadOnly({ side, endpoint: { database } }: Session): ReplicatorError {
  return new ReplicatorError(
    "the database is read-only by default, and the role may not change this default",
    {
      side,
      object: `database ${database}`,
      remedy: `as its owner: ALTER DATABASE ${
        quoteIdentifier(database)
      } RESET default_transaction_read_only; then run the same command again`,
    },
  );
}
