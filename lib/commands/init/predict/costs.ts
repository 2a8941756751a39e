/**
 * Costs of the operations of a copy between two servers.
 *
 * @module
 */

/** Durations in milliseconds and throughput in bytes per millisecond, of a single session. */
export interface CopyCosts {
  readonly sourceRoundTripMs: number;
  readonly targetRoundTripMs: number;
  /** Opening a session on the target, including its first queries. */
  readonly sessionMs: number;
  /** A catalog-only statement, such as a comment or grant. */
  readonly statementMs: number;
  /** Creating a table with its dependent objects. */
  readonly tableMs: number;
  /** Fixed cost of a part, regardless of its size. */
  readonly partMs: number;
  /** Table bytes, as on the source's disk. */
  readonly rowBytesPerMs: number;
  /** Fixed cost of an index, regardless of its size. */
  readonly indexMs: number;
  /** Index bytes, as on the source's disk. */
  readonly indexBytesPerMs: number;
  readonly analyzeMs: number;
  /** ANALYZE of a table larger than its sample. */
  readonly analyzeLargeMs: number;
  /** See `FillWork.scaling`. */
  readonly scaling: number;
  /** Starting pg_dump or pg_dumpall, including its initial queries. */
  readonly programMs: number;
  readonly embeddedDumpMs: number;
  /** Additional time of a dump for each table. */
  readonly dumpTableMs: number;
  readonly databaseMs: number;
}

/**
 * Costs measured between two servers of version 15 on a machine with two cores
 * (docs/internals/performance.md); overridden by those that a probe measures.
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
