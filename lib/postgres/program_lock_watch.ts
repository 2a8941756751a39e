/**
 * Locks that a client program waits for: it cannot report them itself.
 *
 * @module
 */
import type { Endpoint } from "./endpoint.ts";
import { LockWatch } from "./lock_wait.ts";
import { openSession } from "./open_session.ts";
import { pause } from "./retry.ts";
import type { Session } from "./session.ts";

const lookMs = 500;

/**
 * Watches a client program's session, which it finds by its name, until the signal aborts. Reports to `endpoint.onLockWait`; without one
 * nothing is done.
 *
 * Requires `--allow-net` for the host.
 *
 * @param applicationName a name that no other session has
 */
export async function watchProgramLocks(
  { onLockWait, ...endpoint }: Endpoint,
  { applicationName, signal }: { readonly applicationName: string; readonly signal: AbortSignal },
): Promise<void> {
  if (onLockWait === undefined) return;
  const observe = (ending: AbortSignal): Promise<Session> =>
    openSession(endpoint, { signal: ending });
  try {
    let processId: number | undefined;
    while (processId === undefined) {
      await pause(lookMs, signal);
      await using observer = await observe(signal);
      const [row] = await observer.query<{ pid: number }>(
        "SELECT a.pid FROM pg_catalog.pg_stat_activity AS a WHERE a.application_name = $1",
        [applicationName],
      );
      processId = row?.pid;
    }
    const backend = { processId, serverStart: "", openedAt: "" };
    const watch = new LockWatch({ endpoint, backend, report: onLockWait, observe });
    const end = watch.watch();
    await new Promise<void>((resolve) =>
      signal.aborted ? resolve() : signal.addEventListener("abort", () => resolve(), { once: true })
    );
    end();
    await watch.close();
  } catch {
    // the program itself reports a server that cannot be reached; the signal ends this
  }
}
