/**
 * The verbs: one function for each phase of a migration, options in, plain reports out. `demo` is
 * left to the command line: it starts servers of its own.
 *
 * Requires `--allow-net` for both servers, and what `../schema/mod.ts` needs.
 *
 * @module
 */
export * from "./shared/server_pair.ts";
export * from "./cleanup/cleanup.ts";
export * from "./shared/database_plan.ts";
export * from "./init/init.ts";
export * from "./shared/report.ts";
export * from "./shared/run.ts";
export * from "./status/status.ts";
export * from "./sync/sync.ts";
export * from "./shared/table_scope.ts";
export * from "./validate/validate.ts";
export * from "./verify/verify.ts";
