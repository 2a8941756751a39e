/**
 * The service's tables: keys, jobs, what happened to them, who did what.
 *
 * Requires `--allow-net` for the service's database.
 *
 * @module
 */
export * from "./audit.ts";
export * from "./buckets.ts";
export * from "./checkpoints.ts";
export * from "./copies.ts";
export * from "./job.ts";
export * from "./jobs.ts";
export * from "./journal.ts";
export * from "./journal_entry.ts";
export * from "./journal_series.ts";
export * from "./keys.ts";
export * from "./migrate.ts";
export * from "./migrations.ts";
export * from "./store_database.ts";
export * from "./prune_journal.ts";
export * from "./workers.ts";
