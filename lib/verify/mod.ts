/**
 * Verifies that two databases are equal: rows and large objects by digests that both servers
 * compute, everything else by comparing the catalogs. Differences are narrowed down to rows.
 *
 * Requires `--allow-net` for both servers.
 *
 * @example Compare the catalogs of two databases
 * ```ts
 * import { openSession, resolveEndpoint } from "@seren/postgres-replicator/postgres";
 * import { compareStructures } from "@seren/postgres-replicator/verify";
 *
 * await using source = await openSession(
 *   await resolveEndpoint(Deno.env.get("SOURCE_URL")!, { side: "source" }),
 * );
 * await using target = await openSession(
 *   await resolveEndpoint(Deno.env.get("TARGET_URL")!, { side: "target" }),
 * );
 * const { sections } = await compareStructures({ source, target }, {});
 * for (const { section, differences } of sections) {
 *   console.log(`${section}: ${differences.length} differences`);
 * }
 * ```
 *
 * @module
 */
export {
  type Cell,
  type Chunk,
  type ChunkBounds,
  type ChunkOutcome,
  type ComparedColumn,
  type ComparedRows,
  compareRows,
  type CompareRowsOptions,
  compareStructures,
  type Comparison,
  type DifferingColumn,
  type DigestMethod,
  type HashForm,
  type KnownTable,
  type NotChecked,
  type ObjectDifference,
  type Part,
  type RowDifference,
  type StructureComparison,
  type StructureDifference,
  type StructureScope,
  type StructureSection,
  type StructureSessions,
  type ValuePair,
  type Verdict,
  type VerifiedDatabase,
  type VerifiedKind,
  type VerifiedSection,
  type VerifiedTable,
  VerifyJournal,
  type VerifyJournalOptions,
} from "./internal.ts";
