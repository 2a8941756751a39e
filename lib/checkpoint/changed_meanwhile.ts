import { ExitCode, ReplicatorError } from "../core/mod.ts";

/** A target database is no longer what it was when the plan was made: another run or session has come in between. */
export function changedMeanwhile(database: string, found: string): ReplicatorError {
  return new ReplicatorError(`${found}, since the plan of this run was made`, {
    side: "target",
    object: `database ${database}`,
    remedy: "this run changed nothing in it; run the same command again to see its present state",
    exitCode: ExitCode.prerequisite,
  });
}
