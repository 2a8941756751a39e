import { ExitCode } from "../../core/internal.ts";
import type { Session } from "../../postgres/internal.ts";
import { needsCutoverScope } from "../spec/mod.ts";
import { appendAudit } from "./audit.ts";
import { attemptNumber, type JobOutcome, type JobRow } from "./job.ts";

/**
 * Records the end of a job that could change which side is in use, remove the way back, or make
 * writers wait.
 */
export async function auditSwitch(
  session: Session,
  job: JobRow,
  outcome: JobOutcome,
): Promise<void> {
  if (!needsCutoverScope(job.spec)) return;
  const { options, source, target, filters } = job.spec;
  const { action } = options as { readonly action: string };
  await appendAudit(session, {
    actor: job.owner,
    action: `cutover.${action}`,
    object: job.id,
    outcome: outcome.exitCode === ExitCode.success ? "done" : "failed",
    traceId: job.traceId,
    details: {
      source,
      target,
      filters,
      state: outcome.state,
      exit_code: outcome.exitCode,
      attempts: attemptNumber(job),
      ...(job.worker === null ? {} : { worker: job.worker }),
      ...(outcome.error === undefined ? {} : { error: outcome.error.message }),
    },
  });
}
