/**
 * Limits on the length of a server's messages, so that none can exhaust this process's memory.
 *
 * Servers are not trusted: one may belong to a third party or be compromised. Every header is
 * checked before its body is buffered.
 *
 * @module
 */

import { megabyte } from "../../core/internal.ts";

/**
 * The server violated the protocol or sent more than fits in memory. The session is closed; a retry
 * cannot succeed.
 */
export class ProtocolError extends Error {
  override readonly name = "ProtocolError";
}

const kilobyte = 1024;

/** Longest message that PostgreSQL can build: `MaxAllocSize` and the length word. */
const maxAllocated = 0x3fff_ffff + 4;

/** Limit on a buffered result, in bytes of memory, unless a query allows more. */
export const defaultResultBytes = 256 * megabyte;

/**
 * Limit for a query that lists the catalog of a whole database: enough for 100,000 tables with
 * twenty columns each.
 */
export const catalogResultBytes = 2 * 1024 * megabyte;

/** Limit for the rows of a table, which may have fields of hundreds of megabytes. */
export const rowResultBytes = 1024 * megabyte;

/**
 * Limit on notices, notifications and parameter changes before an answer is complete; they are
 * skipped.
 */
export const asynchronousBytes = 256 * megabyte;

/** Limit on everything between the startup packet and the first ReadyForQuery. */
export const startupBytes = 2 * megabyte;

/** Largest length word by message type; other types are not allowed. */
const lengths: Readonly<Record<string, number>> = {
  "1": 4, // ParseComplete
  "2": 4, // BindComplete
  "3": 4, // CloseComplete
  n: 4, // NoData
  s: 4, // PortalSuspended
  I: 4, // EmptyQueryResponse
  c: 4, // CopyDone
  Z: 5, // ReadyForQuery
  C: kilobyte, // CommandComplete: a tag has at most 64 bytes
  K: 264, // BackendKeyData: a key has at most 256 bytes
  G: 16 * kilobyte, // CopyInResponse and the like: two bytes for each of at most 1,664 columns
  H: 16 * kilobyte,
  W: 16 * kilobyte,
  R: 16 * kilobyte, // Authentication
  t: 4 + 2 + 4 * 65_535, // ParameterDescription
  T: megabyte, // RowDescription: at most 1,664 columns with names of 63 bytes
  E: 16 * megabyte, // ErrorResponse: RAISE can include a whole document
  D: maxAllocated, // DataRow; the session limits how much is buffered
  d: maxAllocated, // CopyData, never buffered
  A: maxAllocated, // skipped, see isAsynchronous()
  N: maxAllocated,
  S: maxAllocated,
};

/** By type byte, since every header is checked; 0 for types that are not allowed. */
const maxLengths = new Uint32Array(256);
for (const [letter, length] of Object.entries(lengths)) maxLengths[letter.charCodeAt(0)] = length;

/**
 * Whether messages of a type may come at any time and can be ignored: notices, notifications,
 * parameter changes.
 */
export function isAsynchronous(type: number): boolean {
  return type === 0x4e || type === 0x41 || type === 0x53;
}

/**
 * Checks the header of a message before any of its body is buffered.
 *
 * @param length the length word, which counts itself
 * @throws ProtocolError when PostgreSQL never sends it
 */
export function checkHeader(type: number, length: number): void {
  const maxLength = maxLengths[type] as number;
  if (maxLength === 0) {
    throw new ProtocolError(`it sent a message of unknown type ${describeType(type)}`);
  }
  if (length < 4 || length > maxLength) {
    throw new ProtocolError(
      `it announced a message of type ${describeType(type)} with a length of ${length} bytes`,
    );
  }
}

/** A type byte for display: `"D"`, or its number when it is not printable. */
export function describeType(type: number): string {
  return type > 0x20 && type < 0x7f ? `"${String.fromCharCode(type)}"` : String(type);
}
