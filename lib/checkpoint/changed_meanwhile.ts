import { ExitCode, ReplicatorError } from "../core/internal.ts";

/** A target database has changed since the plan was made: another run or session was faster. */
export function changedMeanwhile(database: string, found: string): ReplicatorError {
  return new ReplicatorError(`${found}, since the plan of this run was made`, {
    side: "target",
    object: `database ${database}`,
    remedy: "this run changed nothing in it; run the same command again to see its present state",
    exitCode: ExitCode.prerequisite,
  });
}
