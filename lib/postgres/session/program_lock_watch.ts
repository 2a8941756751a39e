/**
 * Reports the locks that a client program waits for.
 *
 * @module
 */
import { pause } from "../../core/internal.ts";
import type { Endpoint } from "../connect/endpoint.ts";
import { LockWatch } from "./lock_watch.ts";
import { openSession } from "./open_session.ts";
import type { Session } from "./session.ts";
import type { Backend } from "./stalled_connection.ts";

const checkMs = 500;

// same format of the server's start as in the tool's sessions, so that own_backends.ts recognizes
// the program's
const backendStatement = `
  SELECT a.pid AS "processId",
         (extract(epoch FROM pg_catalog.pg_postmaster_start_time())
           OPERATOR(pg_catalog.*) 1000000)::pg_catalog.int8::pg_catalog.text AS "serverStart",
         (extract(epoch FROM a.backend_start)
           OPERATOR(pg_catalog.*) 1000000)::pg_catalog.int8::pg_catalog.text AS "openedAt"
    FROM pg_catalog.pg_stat_activity AS a
   WHERE a.application_name = $1`;

/**
 * Watches a client program's session, found by its application name, until the signal aborts.
 * Reports to its endpoint's `onLockWait`; does nothing without it.
 *
 * Requires `--allow-net` for the host.
 *
 * @param applicationName a name that no other session has
 */
export async function watchProgramLocks(
  program: Endpoint,
  { applicationName, signal }: { readonly applicationName: string; readonly signal: AbortSignal },
): Promise<void> {
  const { onLockWait } = program;
  if (onLockWait === undefined) return;
  const endpoint: Endpoint = { ...program, onLockWait: undefined };
  const observe = (ending: AbortSignal): Promise<Session> =>
    openSession(endpoint, { signal: ending });
  try {
    let backend: Backend | undefined;
    while (backend === undefined) {
      await pause(checkMs, signal);
      await using observer = await observe(signal);
      [backend] = await observer.query<Backend>(backendStatement, [applicationName]);
    }
    const watch = new LockWatch({ endpoint, backend, report: onLockWait, observe });
    const end = watch.watch();
    await new Promise<void>((resolve) =>
      signal.aborted ? resolve() : signal.addEventListener("abort", () => resolve(), { once: true })
    );
    end();
    await watch.close();
  } catch {
    // the program itself reports an unreachable server; the signal ends this
  }
}
