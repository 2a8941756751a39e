/**
 * Proving that two databases are equal: rows by digests that both servers compute, large objects,
 * and where they differ the rows themselves; and everything that is no row by the catalogs of both.
 *
 * Requires `--allow-net` for both servers.
 *
 * @module
 */
export * from "./compare_database.ts";
export * from "./journal.ts";
export type { ComparedColumn, HashForm } from "./columns.ts";
export type { Comparison, Part } from "./plan.ts";
export * from "./report.ts";
export type { Cell, Chunk } from "./scan.ts";
export * from "./set_aside.ts";
export type { ChunkOutcome } from "./table_result.ts";
export * from "./structure/mod.ts";
