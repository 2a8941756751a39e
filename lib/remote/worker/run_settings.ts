import type { SessionPool } from "../../postgres/internal.ts";
import type { AddressGuard } from "../guard/mod.ts";
import type { Claim, JobQueue } from "../queue/mod.ts";
import type { KeyProvider } from "../secrets/mod.ts";
import type { JobRunners } from "./runner.ts";

/** What a worker runs jobs with. */
export interface RunSettings {
  readonly pool: SessionPool;
  readonly queue: JobQueue;
  readonly keys: KeyProvider;
  readonly guard: AddressGuard;
  readonly runners: JobRunners;
  /** Where the folders of jobs are made. */
  readonly workspaceRoot: string;
  /** How often a wish to cancel is looked for. */
  readonly checkEveryMs: number;
  /** How long a run that was told to end may take to do so. */
  readonly graceMs: number;
  /**
   * How leader and helpers of a copy hear of each other. Default: see {@linkcode
   * parallelCopyTiming}.
   */
  readonly parallelCopy?: ParallelCopyTiming;
}

/** How leader and helpers of a copy hear of each other. */
export interface ParallelCopyTiming {
  /** Who was not heard of for so long is lost. */
  readonly leaseSeconds: number;
  /** Time between two words. */
  readonly everyMs: number;
}
/** What holds when nobody says otherwise: as long as the queue waits for a worker. */
export function parallelCopyTiming(
  { parallelCopy }: RunSettings,
  { message }: Claim,
): ParallelCopyTiming {
  return parallelCopy ?? { leaseSeconds: message.heartbeatSeconds, everyMs: 300 };
}
