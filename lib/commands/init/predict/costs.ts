/**
 * What the parts of a copy cost between two servers.
 *
 * @module
 */

/** Milliseconds, as one session needs them, and bytes that one session gets done in one of them. */
export interface CopyCosts {
  readonly sourceRoundTripMs: number;
  readonly targetRoundTripMs: number;
  /** Opening a session on the target and finding out what is there. */
  readonly sessionMs: number;
  /** A statement of the catalog: a comment, a grant. */
  readonly statementMs: number;
  /** Making a table with what belongs to it. */
  readonly tableMs: number;
  /** A part by itself, whatever is in it. */
  readonly partMs: number;
  /** Bytes of tables, as the source has them on disk. */
  readonly rowBytesPerMs: number;
  /** An index by itself, whatever is in it. */
  readonly indexMs: number;
  /** Bytes of indexes, as the source has them. */
  readonly indexBytesPerMs: number;
  readonly analyzeMs: number;
  /** ANALYZE of a table with more rows than it looks at. */
  readonly analyzeLargeMs: number;
  /** See `FillWork.scaling`. */
  readonly scaling: number;
  /** Starting pg_dump or pg_dumpall and what it asks before it begins. */
  readonly programMs: number;
  readonly embeddedDumpMs: number;
  /** What a table adds to a dump. */
  readonly dumpTableMs: number;
  readonly databaseMs: number;
}

/**
 * What was found between two servers of version 15 on a machine with two cores
 * (docs/internals/performance.md); what a probe measures takes the place of it.
 */
export const usualCosts: CopyCosts = {
  sourceRoundTripMs: 0.3,
  targetRoundTripMs: 0.3,
  sessionMs: 15,
  statementMs: 0.3,
  tableMs: 3,
  partMs: 4,
  rowBytesPerMs: 60_000,
  indexMs: 1,
  indexBytesPerMs: 30_000,
  analyzeMs: 1,
  analyzeLargeMs: 100,
  scaling: 0.3,
  programMs: 200,
  embeddedDumpMs: 700,
  dumpTableMs: 0.8,
  databaseMs: 150,
};
