/**
 * Subscriptions: starting, stopping and dropping them.
 *
 * @module
 */
import { plural, poll, quoteIdentifier, ReplicatorError } from "../../core/internal.ts";
import {
  besideEventTriggers,
  ServerError,
  type Session,
  withoutEventTriggers,
} from "../../postgres/internal.ts";
import type { ChangedIdentity } from "../publication/publication_comment.ts";
import { type LeftIdentity, restoreIdentities } from "../publication/restore_replica_identities.ts";
import { restoreWorkerSettings } from "./worker_settings.ts";

/** Enables a subscription. */
export async function enableSubscription(session: Session, name: string): Promise<void> {
  await withoutEventTriggers(
    session,
    () => session.execute(`ALTER SUBSCRIPTION ${quoteIdentifier(name)} ENABLE`),
  );
}

const workerPauseMs = 10;

/** How long a worker may take to stop before it is terminated. */
const workerGraceMs = 3_000;

/**
 * Disables a subscription and waits until nothing is being applied any longer.
 *
 * A worker that waits for a lock does not notice that it should stop: it is terminated, which rolls
 * its transaction back.
 *
 * @throws ReplicatorError if it has not stopped within the timeout, by default none
 */
export async function disableSubscription(
  session: Session,
  { name, signal, timeoutMs = Infinity }: {
    readonly name: string;
    readonly signal?: AbortSignal | undefined;
    readonly timeoutMs?: number | undefined;
  },
): Promise<void> {
  await withoutEventTriggers(
    session,
    () => session.execute(`ALTER SUBSCRIPTION ${quoteIdentifier(name)} DISABLE`),
  );
  let pids: readonly number[] = [];
  let sinceMs = performance.now();
  const stopped = await poll(async () => {
    const workers = await session.query<{ readonly pid: number }>(
      "SELECT pid FROM pg_catalog.pg_stat_subscription WHERE subname = $1 AND pid IS NOT NULL",
      [name],
    );
    if (workers.length === 0) return true;
    pids = workers.map(({ pid }) => pid);
    if (performance.now() - sinceMs >= workerGraceMs) {
      for (const pid of pids) await terminateWorker(session, pid);
      sinceMs = performance.now();
    }
    return undefined;
  }, { intervalMs: workerPauseMs, signal, timeoutMs });
  if (stopped === undefined) throw notStopping(session, { name, pids });
}

/** The stream is disabled, but a backend that may still be applying its changes does not end. */
export function notStopping(
  { endpoint: { side, database } }: Session,
  { name, pids }: { readonly name: string; readonly pids: readonly number[] },
): ReplicatorError {
  const calls = pids.map((pid) => `SELECT pg_catalog.pg_terminate_backend(${pid});`);
  return new ReplicatorError(
    `the stream ${name} does not stop: ${
      plural(pids.length, "backend")
    } of the server may still be applying its changes (pid ${pids.join(", ")})`,
    {
      side,
      object: `database ${database}`,
      remedy: `see pg_stat_activity for what it waits for, end it as a superuser (${
        calls.join(" ")
      }), and run the same command again`,
    },
  );
}

async function terminateWorker(session: Session, pid: number): Promise<void> {
  try {
    await session.query("SELECT pg_catalog.pg_terminate_backend($1)", [pid]);
  } catch (error) {
    // without the privilege, wait until it ends on its own
    if (!(error instanceof ServerError)) throw error;
  }
}

/**
 * Drops a subscription and leaves its slot, because the source may be unreachable.
 *
 * @returns tables whose replica identity could not be restored
 */
export async function dropSubscription(
  session: Session,
  { name, signal, restore = [], writtenBy }: {
    readonly name: string;
    readonly signal?: AbortSignal | undefined;
    /** Replica identities to restore in the same transaction. */
    readonly restore?: readonly ChangedIdentity[];
    /** OID of the role that could have written `restore`. */
    readonly writtenBy?: number | undefined;
  },
): Promise<readonly LeftIdentity[]> {
  await disableSubscription(session, { name, signal });
  return await withoutEventTriggers(session, async () => {
    await session.execute("SET LOCAL lock_timeout = '10s'");
    await session.execute(`ALTER SUBSCRIPTION ${quoteIdentifier(name)} SET (slot_name = NONE)`);
    const left = await restoreIdentities(session, restore, {
      side: "target",
      writtenBy,
    });
    await restoreWorkerSettings(session, name);
    // DROP SUBSCRIPTION leaves the comment behind (12 to 18)
    await session.execute(`COMMENT ON SUBSCRIPTION ${quoteIdentifier(name)} IS NULL`);
    await session.execute(`DROP SUBSCRIPTION ${quoteIdentifier(name)}`);
    return left;
  });
}

/** Lets a subscription follow the tables that its publication lists now. */
export async function refreshTables(session: Session, name: string): Promise<void> {
  await besideEventTriggers(session, () =>
    session.execute(
      `ALTER SUBSCRIPTION ${quoteIdentifier(name)} REFRESH PUBLICATION WITH (copy_data = false)`,
    ));
}

/**
 * Removes tables from a subscription that its publication no longer lists, effective immediately.
 *
 * The slot keeps delivering changes of such tables for a while, because publications are read from
 * the catalog as of the change. A worker ignores tables that are not in `pg_subscription_rel`, but
 * reads it only once: it must be restarted.
 */
export async function forgetRemovedTables(
  session: Session,
  { name, signal }: { readonly name: string; readonly signal?: AbortSignal | undefined },
): Promise<void> {
  await refreshTables(session, name);
  await disableSubscription(session, { name, signal });
  await enableSubscription(session, name);
}
