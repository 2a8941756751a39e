/**
 * How long the messages of a server may be, so that none of them can exhaust this process's memory.
 *
 * A server is not trusted: it may be someone else's, or have been taken over. Every header is
 * checked before its body is kept.
 *
 * @module
 */

/**
 * The server sent what PostgreSQL never sends, or more than fits in memory. The session is closed;
 * retrying will not help.
 */
export class ProtocolError extends Error {
  override readonly name = "ProtocolError";
}

const kilobyte = 1024;
const megabyte = 1024 * kilobyte;

/** Longest message that PostgreSQL itself can build: `MaxAllocSize` and the length word. */
const maxAllocated = 0x3fff_ffff + 4;

/** Bytes of a buffered result, counted as they weigh in memory, unless a query allows more. */
export const defaultResultBytes = 256 * megabyte;

/**
 * For a query that lists the catalog of a whole database: 100,000 tables with twenty columns each
 * stay below it.
 */
export const catalogResultBytes = 2 * 1024 * megabyte;

/** For the rows of a table, which may have fields of hundreds of megabytes. */
export const rowResultBytes = 1024 * megabyte;

/**
 * Notices, notifications and parameter changes that may come before an answer is complete; they are
 * passed over.
 */
export const asynchronousBytes = 256 * megabyte;

/** Everything a server may send between the startup packet and its first ReadyForQuery. */
export const startupBytes = 2 * megabyte;

/** Longest length word by the type of the message; a type that is not here may not come. */
const lengths: Readonly<Record<string, number>> = {
  "1": 4, // ParseComplete
  "2": 4, // BindComplete
  "3": 4, // CloseComplete
  n: 4, // NoData
  s: 4, // PortalSuspended
  I: 4, // EmptyQueryResponse
  c: 4, // CopyDone
  Z: 5, // ReadyForQuery
  C: kilobyte, // CommandComplete: a tag has 64 bytes at most
  K: 264, // BackendKeyData: a key has 256 bytes at most
  G: 16 * kilobyte, // CopyInResponse and its kin: two bytes for each of at most 1,664 columns
  H: 16 * kilobyte,
  W: 16 * kilobyte,
  R: 16 * kilobyte, // Authentication
  t: 4 + 2 + 4 * 65_535, // ParameterDescription
  T: megabyte, // RowDescription: at most 1,664 columns with names of 63 bytes
  E: 16 * megabyte, // ErrorResponse: RAISE can put a whole document into it
  D: maxAllocated, // DataRow; what is buffered of them is limited by the session
  d: maxAllocated, // CopyData, never gathered
  A: maxAllocated, // passed over, see isAsynchronous()
  N: maxAllocated,
  S: maxAllocated,
};

/**
 * Whether messages of a type may come at any time and say nothing that is needed: notices,
 * notifications, parameter changes.
 */
export function isAsynchronous(type: number): boolean {
  return type === 0x4e || type === 0x41 || type === 0x53;
}

/**
 * Checks the header of a message before anything of its body is kept.
 *
 * @param length the length word, which counts itself
 * @throws ProtocolError when no server would send it
 */
export function checkHeader(type: number, length: number): void {
  const letter = String.fromCharCode(type);
  const most = Object.hasOwn(lengths, letter) ? lengths[letter] : undefined;
  if (most === undefined) {
    throw new ProtocolError(`it sent a message of unknown type ${describeType(type)}`);
  }
  if (length < 4 || length > most) {
    throw new ProtocolError(
      `it announced a message of type ${describeType(type)} with a length of ${length} bytes`,
    );
  }
}

/** A type byte for people: `"D"`, or its number when it is no printable character. */
export function describeType(type: number): string {
  return type > 0x20 && type < 0x7f ? `"${String.fromCharCode(type)}"` : String(type);
}
