/**
 * The verbs: one function for each phase of a migration, options in, plain reports out. `demo` is
 * left to the command line: it starts servers of its own.
 *
 * Requires `--allow-net` for both servers, and what `../schema/mod.ts` needs.
 *
 * @module
 */
export * from "./internal.ts";
