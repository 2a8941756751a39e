/**
 * How rows are copied: one value that travels unopened from a command's options to `copyTables`.
 *
 * @module
 */
import { type CopyFormatChoice, optionDefaults } from "../config/internal.ts";
import { type ThrottleLimits, throttleLimits } from "./throttle_decision.ts";
import { type CopyWorkerRunner, copyWorkersHere } from "./worker_runner.ts";

/** COPY's format. */
export type CopyFormat = Exclude<CopyFormatChoice, "auto">;

/** When the copy slows down for its source. */
export interface ThrottleSettings {
  /** Lag and rates at which the copy slows down. */
  readonly limits: ThrottleLimits;
  /** Time between two samples of the source. */
  readonly intervalMs: number;
}

/** How rows are copied. */
export interface CopySettings {
  /** Parts copied at once: sessions on each side. */
  readonly jobs: number;
  /** Where the copy workers run: this thread, threads of this process, or other machines. */
  readonly workers: CopyWorkerRunner;
  /** `auto`: binary where it means the same on both servers, text elsewhere. */
  readonly format: CopyFormatChoice;
  /** Larger tables are copied in parts, several at once. */
  readonly splitBytes: number;
  /** Limit on reading from the source, all sessions together; undefined for none. */
  readonly maxBytesPerSecond: number | undefined;
  /** When the copy slows down to protect the source. */
  readonly throttle: ThrottleSettings;
  /** Pauses of a session whose connection broke; their number is the number of retries. */
  readonly retryDelaysMs: readonly number[];
}

/** Settings where a caller has none of its own. */
export const defaultCopySettings: CopySettings = {
  jobs: optionDefaults.jobs,
  workers: copyWorkersHere({ threads: optionDefaults.copyThreads }),
  format: optionDefaults.copyFormat,
  splitBytes: optionDefaults.splitBytes,
  maxBytesPerSecond: undefined,
  throttle: { limits: throttleLimits, intervalMs: 5_000 },
  retryDelaysMs: [200, 1_000, 2_000, 4_000, 8_000],
};
