/**
 * The verbs: one function for each phase of a migration, options in, plain reports out. `demo` is
 * part of the command line only, since it starts its own servers.
 *
 * Requires `--allow-net` for both servers, and what `../schema/mod.ts` needs.
 *
 * @module
 */
export * from "./internal.ts";
