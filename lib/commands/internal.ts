/**
 * Exports of `commands` for the rest of this repository. Not part of the published API: see
 * `mod.ts`.
 *
 * @internal
 */
export * from "./shared/server_pair.ts";
export * from "./cleanup/cleanup.ts";
export * from "./cutover/report.ts";
export * from "./shared/database_plan.ts";
export * from "./init/init.ts";
export * from "./shared/init_plan.ts";
export * from "./shared/init_report.ts";
export * from "./shared/report.ts";
export * from "./shared/sync_report.ts";
export * from "./shared/validation_report.ts";
export * from "./shared/verify_report.ts";
export * from "./shared/run.ts";
export * from "./status/status.ts";
export * from "./sync/sync.ts";
export * from "./shared/table_scope.ts";
export * from "./validate/validate.ts";
export * from "./verify/verify.ts";
