/**
 * Databases of a run that failed while others did not.
 *
 * @module
 */
import {
  describeError,
  ExitCode,
  exitCodeOf,
  InterruptedError,
  plural,
  ReplicatorError,
} from "../../core/internal.ts";
import { ConnectionError } from "../../postgres/internal.ts";

/** A database whose copy failed, and why. */
export interface DatabaseFailure {
  /** Its name on the source. */
  readonly database: string;
  readonly error: unknown;
}

/**
 * Whether an error ends the whole run instead of one database's copy. A server that cannot be
 * reached fails every other database as well.
 */
export function endsRun(error: unknown): boolean {
  return error instanceof InterruptedError || error instanceof ConnectionError && error.transient;
}

/** One error for all databases that failed; the error itself when the run has a single database. */
export function combineFailures(failures: readonly DatabaseFailure[], databases: number): unknown {
  const [first] = failures;
  if (databases === 1 || first === undefined) return first?.error;
  const codes = new Set(failures.map(({ error }) => exitCodeOf(error)));
  const [code = ExitCode.stepFailed] = codes;
  const done = databases - failures.length;
  return new ReplicatorError(
    `${plural(failures.length, "database")} of ${databases} failed: ${
      failures.map(({ database }) => database).join(", ")
    }; ${done === 0 ? "none was copied" : `${plural(done, "was", "were")} copied`}`,
    {
      details: failures.flatMap(({ database, error }) => [
        `database ${database}:`,
        ...describeError(error).map((line) => `  ${line}`),
      ]),
      remedy: failures.some(({ error }) => mayStartOver(error))
        ? "follow the remedy of each database; with --no-resume the same command copies the failed ones from the start, and keeps the others"
        : "remove the causes as described for each database, then run the same command again: it resumes those that failed",
      exitCode: codes.size === 1 ? code : ExitCode.stepFailed,
      cause: new AggregateError(failures.map(({ error }) => error)),
    },
  );
}

/** One error for all streams whose changes are not applied; undefined if there are none. */
export function combineStreamFailures(
  failures: readonly ReplicatorError[],
): ReplicatorError | undefined {
  const [first] = failures;
  if (failures.length < 2) return first;
  const codes = new Set(failures.map(({ exitCode }) => exitCode));
  return new ReplicatorError(
    "the changes of some streams are not applied, for these reasons; the others were applied",
    {
      details: failures.flatMap(describeError),
      remedy: "follow the remedy of each; docs/guides/sync.md explains every state",
      exitCode: codes.size === 1 || !codes.has(ExitCode.unhealthy)
        ? first!.exitCode
        : ExitCode.unhealthy,
      cause: new AggregateError(failures),
    },
  );
}

/** The errors that {@linkcode combineFailures} has combined, or the error alone. */
export function failuresOf(error: unknown): readonly unknown[] {
  return error instanceof ReplicatorError && error.cause instanceof AggregateError
    ? error.cause.errors
    : [error];
}

/**
 * Whether the remedy of an error suggests --no-resume.
 */
function mayStartOver(error: unknown): boolean {
  return error instanceof ReplicatorError && (error.remedy?.includes("--no-resume") ?? false);
}
