/**
 * Options of the copy of one database.
 *
 * @module
 */
import type { WarningEvent } from "../../core/internal.ts";
import type { Session } from "../../postgres/internal.ts";
import type { classifyPostData, DumpStatement, DumpTool } from "../../schema/internal.ts";
import type { PlannedDatabase } from "../shared/database_plan.ts";
import type { InitOptions } from "../shared/run.ts";
import type { ReplicationSetup } from "../shared/replication_setup.ts";
import type { Recorder } from "../shared/recorder.ts";
import type { AttemptLedgers } from "./attempt_ledgers.ts";

/** What the copy of one database needs. */
export interface CopyDatabaseOptions extends
  Pick<
    InitOptions,
    | "source"
    | "target"
    | "rules"
    | "copy"
    | "indexJobs"
    | "statistics"
    | "toastCompression"
    | "allowMixedSnapshots"
    | "whileSnapshotHeld"
  > {
  readonly planned: PlannedDatabase;
  /** A session in a database of the target other than the copied one. */
  readonly maintenance: Session;
  readonly tool: DumpTool;
  /** Major versions of both servers. */
  readonly sourceMajor: number;
  readonly targetMajor: number;
  readonly recorder: Recorder;
  readonly signal: AbortSignal;
  /** Replication that starts with the copy; undefined for a copy alone. */
  readonly stream: ReplicationSetup | undefined;
  readonly ledgers: AttemptLedgers;
  /** Awaited before the target's database is created or filled, which needs its roles. */
  readonly globalsCopied: () => Promise<void>;
  /** Receives, after a failure, the warnings that hold unless the run itself tries again. */
  readonly onGivenUp: (warnings: readonly WarningEvent[]) => void;
}

/** The parts of a schema, in the order in which they are applied. */
export interface SchemaParts {
  readonly preData: readonly DumpStatement[];
  readonly postData: ReturnType<typeof classifyPostData>;
}
