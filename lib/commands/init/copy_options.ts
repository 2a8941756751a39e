/**
 * What copying one database needs.
 *
 * @module
 */
import type { Endpoint, Session } from "../../postgres/internal.ts";
import type { classifyPostData, DumpStatement, DumpTool } from "../../schema/internal.ts";
import type { CopyFormat, CopyWorkerRunner } from "../../copy/internal.ts";
import type { TableRules } from "../../rules/internal.ts";
import type { PlannedDatabase } from "../shared/database_plan.ts";
import type { SnapshotHook } from "../shared/run.ts";
import type { ReplicationSetup } from "../shared/replication_setup.ts";
import type { Recorder } from "../shared/recorder.ts";
import type { AttemptLedgers } from "./attempt_ledgers.ts";

/** What copying one database needs. */
export interface CopyDatabaseOptions {
  readonly planned: PlannedDatabase;
  readonly source: Endpoint;
  readonly target: Endpoint;
  /** A session on the target in another database than the one to be made. */
  readonly maintenance: Session;
  readonly tool: DumpTool;
  readonly jobs: number;
  readonly indexJobs: number;
  readonly copyFormat: "auto" | CopyFormat;
  readonly copyThreads: number;
  /** Who copies the rows; undefined: this process. */
  readonly lanes: CopyWorkerRunner | undefined;
  /** Tables of more bytes are copied in parts. */
  readonly splitBytes: number;
  /** The most that is read, in bytes a second; undefined for as much as there is. */
  readonly maxBytesPerSecond: number | undefined;
  /** Major versions of both servers. */
  readonly sourceMajor: number;
  readonly targetMajor: number;
  readonly rules: TableRules;
  readonly recorder: Recorder;
  readonly signal: AbortSignal;
  readonly whileSnapshotHeld: SnapshotHook;
  /** What follows when the rows are in; undefined: nothing does. */
  readonly stream: ReplicationSetup | undefined;
  readonly ledgers: AttemptLedgers;
  readonly allowMixedSnapshots: boolean;
  readonly retryPausesMs: readonly number[] | undefined;
}

/** The parts of a schema, in the order in which they are applied. */
export interface SchemaParts {
  readonly preData: readonly DumpStatement[];
  readonly postData: ReturnType<typeof classifyPostData>;
}
