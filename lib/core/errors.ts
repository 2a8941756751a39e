/**
 * Errors to act on: what failed, on which side and object, and what to do next.
 *
 * @module
 */
import { ExitCode } from "./exit_code.ts";

/** Which of the two servers. */
export type Side = "source" | "target";

/** What an error carries besides its message. */
export interface ErrorDetails {
  /** The server where it happened. */
  readonly side?: Side | undefined;
  /** The database, table, role or file concerned, as a user would write it. */
  readonly object?: string | undefined;
  /** Facts that explain it, one per line (a server's DETAIL, HINT, CONTEXT). */
  readonly details?: readonly string[];
  /** What to do next, in one sentence. */
  readonly remedy?: string | undefined;
  /** Exit code of the process. */
  readonly exitCode?: ExitCode;
  /**
   * Whether the same work may succeed a moment later.
   *
   * @default false
   */
  readonly transient?: boolean;
  /** The error underneath. */
  readonly cause?: unknown;
}

/** An expected error: its message is for the user, without a stack trace. */
export class ReplicatorError extends Error {
  /** Class name, for `error.name`. */
  override readonly name: string = "ReplicatorError";
  /** Server where it happened; undefined if on neither. */
  readonly side: Side | undefined;
  /** Database, table, role or file concerned: `public.orders`. */
  readonly object: string | undefined;
  /** Facts that explain it, one per line; may be empty. */
  readonly details: readonly string[];
  /** What to do next, in one sentence; undefined if unknown. */
  readonly remedy: string | undefined;
  /** Exit code of a command that ends with this error. */
  readonly exitCode: ExitCode;
  /** Whether the same work may succeed a moment later; such work is retried. */
  readonly transient: boolean;

  /** Without details, the exit code is that of a failed step. */
  constructor(message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.side = details.side;
    this.object = details.object;
    this.details = details.details ?? [];
    this.remedy = details.remedy;
    this.exitCode = details.exitCode ?? ExitCode.stepFailed;
    this.transient = details.transient ?? false;
  }
}

/** Whether a retry can succeed: by the error's class and SQLSTATE, never by its message. */
export function isTransient(error: unknown): boolean {
  return error instanceof ReplicatorError && error.transient;
}

/** One error in the user's input, and where. */
export interface Problem {
  /** Flag, variable or path in a file: `--source`, `databases.app.schema_only[1]`. */
  readonly path: string;
  /** What is wrong, with the value quoted unless it is secret. */
  readonly message: string;
}

/** All errors in the user's input. Nothing was changed. */
export class UsageError extends ReplicatorError {
  /** Class name, for `error.name`. */
  override readonly name = "UsageError";
  /** Every error in the input, with its flag or path. */
  readonly problems: readonly Problem[];

  /** The message lists all problems, one per line. */
  constructor(problems: readonly Problem[], remedy?: string) {
    super(problems.map(({ path, message }) => `${path}: ${message}`).join("\n"), {
      exitCode: ExitCode.usage,
      remedy,
    });
    this.problems = problems;
  }
}

/** The user or the system interrupted the work. */
export class InterruptedError extends ReplicatorError {
  /** Class name, for `error.name`. */
  override readonly name = "InterruptedError";

  /** The exit code is that of an interrupted command. */
  constructor(
    message = "interrupted",
    { details = [], remedy }: {
      readonly details?: readonly string[];
      readonly remedy?: string | undefined;
    } = {},
  ) {
    super(message, { details, remedy, exitCode: ExitCode.interrupted });
  }
}

/** The message of whatever was thrown. */
export function errorMessage(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The exit code of a command that ends with an error. Only a defect throws any other class. */
export function exitCodeOf(error: unknown): ExitCode {
  return error instanceof ReplicatorError ? error.exitCode : ExitCode.internal;
}

/**
 * Formats an error for a terminal: location and message, details, remedy. Only an unexpected error
 * shows its stack, because it is a defect of the tool.
 */
export function describeError(error: unknown): readonly string[] {
  if (!(error instanceof ReplicatorError)) {
    return [error instanceof Error ? (error.stack ?? error.message) : String(error)];
  }
  return [
    ...placedMessage(error).split("\n"),
    ...error.details.map((detail) => `  ${detail}`),
    ...(error.remedy === undefined ? [] : [`  → ${error.remedy}`]),
  ];
}

/** The message, preceded by side and object where they are known. */
export function placedMessage({ side, object, message }: ReplicatorError): string {
  const where = [side, object].filter((part) => part !== undefined).join(", ");
  return where === "" ? message : `${where}: ${message}`;
}
