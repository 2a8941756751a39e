import { ExitCode, ReplicatorError } from "../core/internal.ts";

/** The target database has changed since the plan was made, by another run or session. */
export function changedMeanwhile(database: string, found: string): ReplicatorError {
  return new ReplicatorError(`${found} after this run was planned`, {
    side: "target",
    object: `database ${database}`,
    remedy: "nothing was changed; run the same command again to plan with the current state",
    exitCode: ExitCode.prerequisite,
  });
}
