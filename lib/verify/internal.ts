/**
 * Exports of `verify` for the rest of this repository. Not part of the published API: see `mod.ts`.
 *
 * @internal
 */
export * from "./compare_database.ts";
export * from "./journal.ts";
export { digestLargeObjects, type LargeObjectDigest } from "./large_objects.ts";
export type { ComparedColumn, HashForm } from "./plan/columns.ts";
export type { Comparison, Part } from "./plan/plan_comparisons.ts";
export * from "./report/report.ts";
export type { Cell, Chunk } from "./scan/scan.ts";
export * from "./set_aside.ts";
export * from "./stale_views.ts";
export type { ChunkOutcome } from "./table_result.ts";
export * from "./structure/mod.ts";
