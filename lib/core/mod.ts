/**
 * The vocabulary of all modules: errors, exit codes, events, positions in the WAL, identifiers,
 * quantities, secrets.
 *
 * Requires no permissions.
 *
 * @example Print an error as the command line does
 * ```ts
 * import { describeError, ReplicatorError } from "@seren/postgres-replicator/core";
 * import { match } from "node:assert/strict";
 *
 * const error = new ReplicatorError("permission denied for table people", {
 *   side: "source",
 *   remedy: "GRANT SELECT ON public.people TO migrator;",
 * });
 * match(describeError(error).join("\n"), /GRANT SELECT/);
 * ```
 *
 * @module
 */
export {
  describeError,
  displayName,
  type ErrorDetails,
  type EventSink,
  ExitCode,
  formatBytes,
  formatCount,
  formatDuration,
  formatLsn,
  ignoreEvents,
  InterruptedError,
  type Lsn,
  parseBytes,
  parseDuration,
  parseLsn,
  type Problem,
  quoteIdentifier,
  quoteLiteral,
  quoteQualified,
  redact,
  ReplicatorError,
  type RunEvent,
  Secret,
  severities,
  type Severity,
  type Side,
  type StepName,
  suggest,
  type TableName,
  type ThrottleSubject,
  UsageError,
  type WorkKind,
} from "./internal.ts";
