/**
 * What was done differently on the target than on the source, or left out, and why.
 *
 * @module
 */
import { isTransient, redact, type Side } from "../../core/internal.ts";
import { ServerError } from "../../postgres/internal.ts";

/** One line for the report. */
export interface Adaptation {
  /** What happened, in a sentence. */
  readonly message: string;
  /** On which server. */
  readonly side?: Side;
  /** What it concerns: `role bob`, `TABLE public.orders`. */
  readonly object?: string;
  /** What to do about it. */
  readonly remedy?: string;
}

/**
 * Whether the server rejected the statement itself, rather than failing for a reason of its own or
 * of the connection.
 */
export function isRefusal(error: unknown): error is ServerError {
  // 53: insufficient resources, 57: cancelled or shut down, 58: system error, XX: internal error.
  // But 58P01 (missing library) and XX000 (raised by C code such as PostGIS) concern one statement.
  return error instanceof ServerError && !isTransient(error) &&
    !/^(?:53|57|58(?!P01)|XX(?!000))/.test(error.sqlState);
}

/** The beginning of a statement for a message: one line, secrets redacted. */
export function excerpt(sql: string, length = 160): string {
  const line = redact(sql).replace(/\s+/g, " ").trim();
  return line.length <= length ? line : `${line.slice(0, length - 1)}…`;
}
