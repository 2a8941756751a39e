/**
 * Failures of a switch of several databases while some of them are closed on both sides.
 *
 * @module
 */
import { describeError, ExitCode, ReplicatorError } from "../../core/internal.ts";
import type { SwitchDirection } from "./report.ts";

/**
 * The failure with what it would hide: which databases an attempt has closed, and how to complete
 * or undo it. The reason speaks of the others only. Pure.
 *
 * @param closed names, on the source, of databases that are closed on both sides
 * @returns the error itself if there are none
 */
export function withStillClosed(
  error: unknown,
  { direction, closed }: {
    readonly direction: SwitchDirection;
    readonly closed: readonly string[];
  },
): unknown {
  if (closed.length === 0) return error;
  const names = closed.join(", ");
  const [to, opposite, from] = direction === "run"
    ? ["target", "rollback", "source"]
    : ["source", "run", "target"];
  return new ReplicatorError(
    `both sides of ${names} are closed and refuse writes, and the switch could not be completed`,
    {
      details: describeError(error),
      remedy:
        `remove the cause, then run cutover ${direction} again: it continues, and opens the ${to} of ${names}; or run cutover ${opposite}: it opens the ${from} again`,
      exitCode: error instanceof ReplicatorError ? error.exitCode : ExitCode.stepFailed,
      cause: error,
    },
  );
}
