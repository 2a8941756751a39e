/**
 * Exit codes of the command line. Documented for scripts in `docs/reference/exit-codes.md`; the
 * numbers are a promise.
 *
 * @module
 */

/** What a finished command tells the shell. */
export const ExitCode = {
  /** Everything that was asked for is done. */
  success: 0,
  /** A defect of the tool, or something nobody foresaw. */
  internal: 1,
  /** A flag, an environment variable or a configuration file is wrong; nothing was touched. */
  usage: 2,
  /** A check of `validate` failed, or a step refused because something it needs is not there. */
  prerequisite: 3,
  /** The source cannot be reached, or went away. */
  sourceUnreachable: 4,
  /** The target cannot be reached, or went away. */
  targetUnreachable: 5,
  /** Both sides were compared and differ. */
  mismatch: 6,
  /** `status --check` found replication unhealthy. */
  unhealthy: 7,
  /** A server refused a statement in the middle of the work (disk full, permission, bad row). */
  stepFailed: 8,
  /**
   * `verify` found no difference, but could not compare everything: nobody may say that both sides
   * are equal.
   */
  notVerified: 9,
  /** The service of `--remote` cannot be reached, or failed. */
  serviceUnreachable: 10,
  /** All rows are on the target; some objects could not be created there, and are listed. */
  completeExcept: 11,
  /** Ended by Ctrl-C or SIGTERM. */
  interrupted: 130,
} as const;

/** One of the numbers of {@linkcode ExitCode}. */
export type ExitCode = typeof ExitCode[keyof typeof ExitCode];
