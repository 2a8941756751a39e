/**
 * Why a switch was not made, or not completed.
 *
 * @module
 */
import {
  errorMessage,
  ExitCode,
  formatDuration,
  plural,
  ReplicatorError,
} from "../core/internal.ts";
import { OtherCommandError } from "./lock.ts";
import type { TokensLateError } from "./token.ts";

/** After the point of no return, or when it is not known whether it has been passed. */
export function unfinished(error: unknown, isUnknown: boolean): ReplicatorError {
  const place = error instanceof ReplicatorError
    ? { side: error.side, object: error.object, details: error.details }
    : {};
  const opposite =
    "To return to the side that was in use, run the opposite command (rollback after run)";
  return new ReplicatorError(
    (isUnknown
      ? "it is not known whether the point of no return has been passed: "
      : "the point of no return has been passed, and a step failed: ") + errorMessage(error),
    {
      ...place,
      remedy: isUnknown
        ? `once the server answers, run the same command again: it reads the state and continues. ${opposite}`
        : `run the same command again: it continues; until then the closed databases refuse writes on both sides. ${opposite}`,
      cause: error,
    },
  );
}

/**
 * The server has ended the lock of the switch, of a process that was suspended or cut off, and
 * another command got it.
 */
export function takenOver(other: OtherCommandError, cause: unknown): OtherCommandError {
  return new OtherCommandError(
    `the switch was abandoned, and another command has taken over: ${other.message}; nothing was undone, because that is up to the other command`,
    other.place,
    { details: [errorMessage(cause), ...other.details], remedy: other.remedy, cause },
  );
}

/** Why a step cannot be done in time. */
export function pauseExceeded(maxPauseMs: number, cause?: TokensLateError): ReplicatorError {
  return new ReplicatorError(
    `the pause would have exceeded --max-pause (${
      formatDuration(maxPauseMs)
    }); writers continue on the side in use`,
    {
      details: cause === undefined ? [] : [cause.message],
      remedy: "run cutover rehearse to see what takes the time, or allow a longer pause",
      cause,
    },
  );
}

/** Found before anyone is made to wait. */
export function notArriving(error: TokensLateError): ReplicatorError {
  const { message, side, object, remedy } = error;
  return new ReplicatorError(`${message}; nothing was changed`, {
    ...{ side, object, remedy },
    exitCode: ExitCode.prerequisite,
    cause: error,
  });
}

/** Found before anyone is made to wait, as the following. */
export function tooSlow(ms: number, maxPauseMs: number): ReplicatorError {
  return new ReplicatorError(
    `replication is too slow: a token takes ${
      formatDuration(ms)
    } to arrive, more than half of the allowed pause of ${
      formatDuration(maxPauseMs)
    }; nothing was changed`,
    {
      remedy: "wait until status shows no lag, or allow a longer pause with --max-pause",
      exitCode: ExitCode.prerequisite,
    },
  );
}

/** By what was measured a moment before. */
export function predictedTooLong(ms: number, maxPauseMs: number): ReplicatorError {
  return new ReplicatorError(
    `the pause is expected to take ${formatDuration(ms)}, longer than the allowed ${
      formatDuration(maxPauseMs)
    }; nothing was changed`,
    {
      remedy:
        "run cutover rehearse to see what takes the time, or allow a longer pause with --max-pause",
      exitCode: ExitCode.prerequisite,
    },
  );
}

/** Each is compared while writers wait. */
export function tooManyLargeObjects(
  ms: number,
  { maxPauseMs, count }: { readonly maxPauseMs: number; readonly count: number },
): ReplicatorError {
  return new ReplicatorError(
    `comparing ${plural(count, "large object")} takes ${
      formatDuration(ms)
    }, more than half of the allowed pause of ${formatDuration(maxPauseMs)}; nothing was changed`,
    {
      remedy: "allow a longer pause with --max-pause: writers wait while they are compared",
      exitCode: ExitCode.prerequisite,
    },
  );
}
