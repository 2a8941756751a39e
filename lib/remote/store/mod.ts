/**
 * The service's tables: API keys, jobs and their journals, the audit trail.
 *
 * Requires `--allow-net` for the service's database.
 *
 * @module
 */
export * from "./audit.ts";
export * from "./buckets.ts";
export * from "./checkpoints.ts";
export * from "./copies.ts";
export * from "./copy_participants.ts";
export * from "./copy_parts.ts";
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
