/**
 * Streams that a switch would start and that nothing would apply. Only reads.
 *
 * @module
 */
import { poll } from "../../core/internal.ts";
import type { Session } from "../../postgres/internal.ts";
import { readApplierProgress, readWaiting } from "../../replication/internal.ts";

const attendancePollMs = 200;

/** Streams of the tool's own applier that no process applies, or waits for. */
export async function readUnattended(
  session: Session,
  { starting, attendanceMs }: {
    readonly starting: readonly string[];
    /** How long to wait for the process that applies their changes, in milliseconds. */
    readonly attendanceMs: number;
  },
): Promise<readonly string[]> {
  const read = async () => {
    const clients = (await readApplierProgress(session, starting)).filter(({ kind }) =>
      kind === "client"
    );
    const isWaiting = clients.length === 0 ? undefined : await readWaiting(session);
    return clients.filter(({ name, workerPid }) =>
      workerPid === undefined && isWaiting?.(name) !== true
    ).map(({ name }) => name);
  };
  // a process that has just been stopped begins to wait in a moment
  let unattended = await read();
  await poll(async () => {
    if (unattended.length === 0) return true;
    unattended = await read();
    return unattended.length === 0 || undefined;
  }, { intervalMs: attendancePollMs, timeoutMs: attendanceMs });
  return unattended;
}
