/**
 * Applies the changes of a stream from this process: reads the slot, and writes to the target.
 *
 * @module
 */
import {
  errorMessage,
  formatDuration,
  type Lsn,
  ReplicatorError,
  retry,
} from "../core/internal.ts";
import { ServerError, SqlState } from "../postgres/internal.ts";
import { mayPass } from "./explain.ts";
import type { ApplyChangesOptions, ApplyProgress } from "./options.ts";
import { runStream } from "./run_stream.ts";

/** Pauses after transient failures; the last one is repeated. */
const delaysMs: readonly number[] = [200, 1_000, 2_000, 5_000, 10_000, 30_000];

/** After an attempt that ran for this long, the pauses start over. */
const resetAfterMs = 30_000;

/**
 * Applies changes until the signal aborts or another session stops the stream. The record must
 * exist; at most one process applies a stream's changes.
 *
 * The position is written in the same transaction as the changes: killed at any point, the next
 * call resumes from there, no change is lost, and none is applied twice.
 *
 * Requires `--allow-net` for both hosts.
 *
 * @throws ChangeRefusedError for a change that cannot be applied; the record then says why, and the
 * stream is stopped
 * @throws ReplicatorError if the slot cannot be read or the role may not apply changes
 */
export async function applyChanges(options: ApplyChangesOptions): Promise<void> {
  const { signal, events, name } = options;
  let strictUntil: Lsn = 0n;
  let rereadFor: Lsn | undefined;
  let holds = false;
  let previousBackend: number | undefined;
  const totals = { transactions: 0, changes: 0 };
  const onProgress = (progress: ApplyProgress) => {
    totals.transactions += progress.transactions;
    totals.changes += progress.changes;
    options.onProgress?.({ endLsn: progress.endLsn, ...totals });
  };
  try {
    await retry(async () => {
      for (;;) {
        const end = await runStream({
          ...options,
          onProgress,
          strictUntil,
          rereadFor,
          holds,
          previousBackend,
          onStarted: (processId) => {
            previousBackend = processId;
          },
        });
        if (end.kind === "stopped") return;
        if (end.kind === "unheld") holds = true;
        else if (end.kind === "outdated") rereadFor = end.commitLsn;
        else strictUntil = end.strictUntil;
      }
    }, {
      delaysMs,
      repeatsLastDelay: true,
      resetAfterMs,
      isRetryable,
      signal,
      onRetry: (error, _, delayMs) =>
        events({
          kind: "warning",
          ...(error instanceof ReplicatorError && error.side ? { side: error.side } : {}),
          object: `stream ${name}`,
          message: `changes cannot be applied at the moment: ${errorMessage(error)}`,
          remedy: `nothing is lost; the next attempt is in ${formatDuration(delayMs)}`,
        }),
    });
  } catch (error) {
    if (signal.aborted) return;
    throw error;
  }
}

/** A slot stays in use until its server notices that an earlier connection has ended. */
function isRetryable(error: unknown): boolean {
  return mayPass(error) ||
    error instanceof ServerError && error.side === "source" &&
      error.sqlState === SqlState.objectInUse;
}
