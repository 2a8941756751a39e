/**
 * Exit codes of the command line, documented in `docs/reference/exit-codes.md`. Scripts rely on the
 * numbers: they never change.
 *
 * @module
 */

/** Exit code by outcome. */
export const ExitCode = {
  /** Everything requested is done. */
  success: 0,
  /** A defect of the tool, or an unexpected error. */
  internal: 1,
  /** A flag, environment variable or configuration file is invalid; nothing was changed. */
  usage: 2,
  /** A check of `validate` failed, or a step refused because a prerequisite is missing. */
  prerequisite: 3,
  /** The source cannot be reached, or the connection to it was lost. */
  sourceUnreachable: 4,
  /** The target cannot be reached, or the connection to it was lost. */
  targetUnreachable: 5,
  /** Source and target were compared and differ. */
  mismatch: 6,
  /**
   * `status --check` found replication unhealthy, `sync` a change that cannot be applied, or
   * `cutover status` a write on a closed side.
   */
  unhealthy: 7,
  /** A server rejected a statement during a step (disk full, permission, invalid row). */
  stepFailed: 8,
  /**
   * `verify` found no difference but could not compare everything: equality is not established.
   */
  notVerified: 9,
  /** The service of `--remote` cannot be reached, or failed. */
  serviceUnreachable: 10,
  /** All rows were copied; the objects that could not be created on the target are listed. */
  completeExcept: 11,
  /** Ended by Ctrl-C or SIGTERM. */
  interrupted: 130,
} as const;

/** One of the numbers of {@linkcode ExitCode}. */
export type ExitCode = typeof ExitCode[keyof typeof ExitCode];
