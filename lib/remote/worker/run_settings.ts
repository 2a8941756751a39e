import type { SessionPool } from "../../postgres/internal.ts";
import type { AddressGuard } from "../guard/mod.ts";
import type { Claim, JobQueue } from "../queue/mod.ts";
import type { KeyProvider } from "../secrets/mod.ts";
import type { JobRunners } from "./runner.ts";

/** What a worker needs to run jobs. */
export interface RunSettings {
  readonly pool: SessionPool;
  readonly queue: JobQueue;
  readonly keys: KeyProvider;
  readonly guard: AddressGuard;
  readonly runners: JobRunners;
  /** Directory that contains the working directories of jobs. */
  readonly workspaceRoot: string;
  /** Interval between checks for cancellation. */
  readonly checkEveryMs: number;
  /** How long an aborted run may take to stop. */
  readonly graceMs: number;
  /**
   * How the participants of a parallel copy detect each other's loss; see {@linkcode
   * parallelCopyTiming} for the default.
   */
  readonly parallelCopy?: ParallelCopyTiming;
}

/** How the participants of a parallel copy detect each other's loss. */
export interface ParallelCopyTiming {
  /** A participant that has not reported for this long is considered lost. */
  readonly leaseSeconds: number;
  /** Interval between reports. */
  readonly pollMs: number;
}
/** The timing of a parallel copy; by default its lease is that of the claim. */
export function parallelCopyTiming(
  { parallelCopy }: RunSettings,
  { message }: Claim,
): ParallelCopyTiming {
  return parallelCopy ?? { leaseSeconds: message.heartbeatSeconds, pollMs: 300 };
}
