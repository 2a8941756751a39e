/**
 * The verbs: one function for each phase of a migration, options in, plain reports out. `demo` is left to the command line:
 * it starts servers of its own.
 *
 * Requires `--allow-net` for both servers, and what `../schema/mod.ts` needs.
 *
 * @module
 */
export * from "./both_sides.ts";
export * from "./cleanup.ts";
export * from "./database_plan.ts";
export * from "./init.ts";
export * from "./report.ts";
export * from "./run.ts";
export * from "./status.ts";
export * from "./sync.ts";
export * from "./table_scope.ts";
export * from "./validate.ts";
export * from "./verify.ts";
