/**
 * Exports of `copy` for the rest of this repository. Not part of the published API: see `mod.ts`.
 *
 * @internal
 */
export * from "./analyze.ts";
export * from "./build_indexes.ts";
export * from "./check_row_types.ts";
export * from "./copy_worker.ts";
export * from "./copy_settings.ts";
export * from "./copy_statements.ts";
export * from "./copy_tables.ts";
export * from "./foreign_keys.ts";
export * from "./copy_throttle.ts";
export * from "./throttle_decision.ts";
export { CopyThreads, copyThreadsFor, type CopyThreadsOptions } from "./worker_threads.ts";
export * from "./worker_runner.ts";
export * from "./large_objects.ts";
export * from "./lock_tables.ts";
export * from "./part_range.ts";
export * from "./plan.ts";
export * from "./rate_limiter.ts";
export * from "./restore_statistics.ts";
export * from "./run_statements.ts";
export * from "./source_statistics.ts";
export * from "./statistics_plan.ts";
export * from "./toast_choice.ts";
