/**
 * Errors that a tired person can act on: what failed, on which side, on which object, and what to
 * do next.
 *
 * @module
 */
import { ExitCode } from "./exit_code.ts";

/** Which of the two servers. */
export type Side = "source" | "target";

/** What an error says besides its message. */
export interface ErrorDetails {
  /** The server on which it happened. */
  readonly side?: Side | undefined;
  /** The database, table, role or file concerned, as a person would name it. */
  readonly object?: string | undefined;
  /** Facts that help to understand it, one a line (a server's DETAIL, HINT, CONTEXT). */
  readonly details?: readonly string[];
  /** What to do next, in one sentence. */
  readonly remedy?: string | undefined;
  /** What the process should exit with. */
  readonly exitCode?: ExitCode;
  /** The error underneath. */
  readonly cause?: unknown;
}

/** An error that was foreseen: its message is meant for the user, without a stack trace. */
export class ReplicatorError extends Error {
  override readonly name: string = "ReplicatorError";
  readonly side: Side | undefined;
  readonly object: string | undefined;
  readonly details: readonly string[];
  readonly remedy: string | undefined;
  readonly exitCode: ExitCode;

  constructor(message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.side = details.side;
    this.object = details.object;
    this.details = details.details ?? [];
    this.remedy = details.remedy;
    this.exitCode = details.exitCode ?? ExitCode.stepFailed;
  }
}

/** One thing wrong with what the user gave, and where. */
export interface Problem {
  /** Flag, variable or path in a file: `--source`, `databases.app.schema_only[1]`. */
  readonly path: string;
  /** What is wrong, with the value quoted unless it is secret. */
  readonly message: string;
}

/** Everything that is wrong with what the user gave, at once. Nothing was touched. */
export class UsageError extends ReplicatorError {
  override readonly name = "UsageError";
  readonly problems: readonly Problem[];

  constructor(problems: readonly Problem[], remedy?: string) {
    super(problems.map(({ path, message }) => `${path}: ${message}`).join("\n"), {
      exitCode: ExitCode.usage,
      remedy,
    });
    this.problems = problems;
  }
}

/** The user or the system asked the work to end. */
export class InterruptedError extends ReplicatorError {
  override readonly name = "InterruptedError";

  constructor(message = "interrupted") {
    super(message, { exitCode: ExitCode.interrupted });
  }
}

/** The message of whatever was thrown. */
export function errorMessage(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/**
 * An error as lines for a terminal: the message, where, the details, the remedy.
 * A foreseen error shows no stack; anything else does, because then the tool is at fault.
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

/** What went wrong, and before it on which side and with what, as far as known. */
export function placedMessage({ side, object, message }: ReplicatorError): string {
  const where = [side, object].filter((part) => part !== undefined).join(", ");
  return where === "" ? message : `${where}: ${message}`;
}
