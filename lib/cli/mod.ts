/**
 * The command line: grammar, options, what is printed where. `cli.ts` calls {@linkcode main} and
 * exits with what it returns.
 *
 * The permissions that it needs are listed in `docs/guides/permissions.md`.
 *
 * @module
 */
export * from "./options/environment.ts";
export type { Exit } from "./context.ts";
export { main } from "./run/main.ts";
