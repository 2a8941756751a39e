import { errorMessage, ExitCode, ReplicatorError } from "../../core/internal.ts";
import { ConnectionError } from "../../postgres/internal.ts";
import type { Claim, QueueName } from "../queue/mod.ts";
import type { JobError } from "../store/mod.ts";
import type { JobAbort } from "./abort.ts";
import {
  type ClaimOutcome,
  finishClaim,
  moveClaim,
  releaseClaim,
  tryLater,
} from "./claim_endings.ts";
import type { Redactor } from "./redactor.ts";
import type { RunSettings } from "./run_settings.ts";
import type { RunnerOutcome } from "./runner.ts";

/** How a run ended, and why. */
export interface Ending {
  readonly outcome: RunnerOutcome | undefined;
  readonly failure: unknown;
  /** The report of the work done before a failure, if any. */
  readonly unfinished: unknown;
  readonly abort: JobAbort | undefined;
  readonly redactor: Redactor;
  /** The queue for the size of a job that was only measured. */
  readonly properQueue: QueueName | undefined;
  /** Whether the job's work has no end of its own, and some attempt has got on with it. */
  readonly isLasting: boolean;
}

/** Records the outcome of a run: the job ends, or returns to a queue. */
export async function finishRun(
  claim: Claim,
  settings: RunSettings,
  { outcome, failure, unfinished, abort, redactor, properQueue, isLasting }: Ending,
): Promise<ClaimOutcome> {
  if (outcome !== undefined && !(outcome.isInterrupted === true && isUnwanted(abort))) {
    return await finishClaim(claim, settings, {
      state: outcome.exitCode === ExitCode.success ? "succeeded" : "failed",
      exitCode: outcome.exitCode,
      result: redactor.value(outcome.result),
    });
  }
  const done = outcome?.result ?? unfinished;
  const result = done === undefined ? {} : { result: redactor.value(done) };
  switch (abort?.kind) {
    case "lost":
      return "lost";
    case "drained":
      return await releaseClaim(claim, settings);
    case "moved":
      return await moveClaim(claim, settings, properQueue ?? claim.message.queue);
    case "cancelled":
      return await finishClaim(claim, settings, {
        state: "cancelled",
        exitCode: ExitCode.interrupted,
        error: errorOf(abort, redactor),
        ...result,
      });
    case "timed-out":
      return await finishClaim(claim, settings, {
        state: "timed_out",
        exitCode: ExitCode.stepFailed,
        error: errorOf(abort, redactor),
        ...result,
      });
  }
  if (isUnreachable(failure) && (isLasting || !claim.message.isLast)) {
    return await tryLater(claim, settings, { error: errorOf(failure, redactor), isLasting });
  }
  return await finishClaim(claim, settings, {
    state: "failed",
    exitCode: failure instanceof ReplicatorError ? failure.exitCode : ExitCode.internal,
    error: errorOf(failure, redactor),
    ...result,
  });
}

/** Whether work without an end was ended by something other than its owner. */
function isUnwanted(abort: JobAbort | undefined): boolean {
  return abort !== undefined && abort.kind !== "cancelled";
}

/**
 * Whether a server may become reachable later. A rejected login or a protocol error is permanent.
 */
function isUnreachable(failure: unknown): boolean {
  if (failure instanceof ConnectionError && !failure.transient) return false;
  return failure instanceof ReplicatorError &&
    (failure.exitCode === ExitCode.sourceUnreachable ||
      failure.exitCode === ExitCode.targetUnreachable);
}

function errorOf(error: unknown, redactor: Redactor): JobError {
  const foreseen = error instanceof ReplicatorError ? error : undefined;
  return redactor.value({
    message: errorMessage(error),
    side: foreseen?.side ?? null,
    object: foreseen?.object ?? null,
    remedy: foreseen?.remedy ?? null,
    details: foreseen?.details ?? [],
  });
}
