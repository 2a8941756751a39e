/**
 * The command line: grammar, options, and output. `cli.ts` calls {@linkcode main} and exits with
 * its result.
 *
 * The permissions that it needs are listed in `docs/guides/permissions.md`.
 *
 * @module
 */
export * from "./options/environment.ts";
export type { Exit } from "./context.ts";
export { main } from "./run/main.ts";
