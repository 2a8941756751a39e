/**
 * Environment and files that a connection URL is resolved against.
 *
 * @module
 */

/**
 * What resolving reads. The library does not access the environment itself: the caller passes what
 * its URLs may be completed from.
 *
 * @example Complete URLs as psql does
 * ```ts
 * import { type ResolveEnvironment, resolveEndpoint } from "@seren/postgres-replicator/postgres";
 * import { strictEqual } from "node:assert/strict";
 *
 * const resolveEnvironment: ResolveEnvironment = {
 *   environment: { ...Deno.env.toObject(), PGUSER: "migrator" }, // requires --allow-env
 *   readFile: async (path) => {
 *     try {
 *       return await Deno.readTextFile(path); // ~/.pgpass, certificates; requires --allow-read
 *     } catch (error) {
 *       if (error instanceof Deno.errors.NotFound) return undefined;
 *       throw error;
 *     }
 *   },
 * };
 * const endpoint = await resolveEndpoint("postgresql://old.example.com/app", {
 *   side: "source",
 *   resolveEnvironment,
 * });
 * strictEqual(endpoint.user, "migrator");
 * ```
 */
export interface ResolveEnvironment {
  /** The environment (`PG*`, `HOME`, `USER`). */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /**
   * Reads a file; undefined when it does not exist. Requires `--allow-read` for libpq's files that
   * exist.
   */
  readonly readFile: (path: string) => Promise<string | undefined>;
  /**
   * The permissions of a file, so that secrets that others can read are not used, as in libpq;
   * undefined where files have none. Without this function permissions are not checked.
   */
  readonly permissionsOf?: ((path: string) => Promise<FilePermissions | undefined>) | undefined;
  /** Receives what is ignored, once for each URL. */
  readonly warn?: ((message: string) => void) | undefined;
}

/** Who may access a file. */
export interface FilePermissions {
  /** As in `stat`; only the last nine bits matter. */
  readonly mode: number;
  /** User ID of the owner. */
  readonly uid: number;
}

/** An environment in which only the URL counts. */
export const emptyEnvironment: ResolveEnvironment = {
  environment: {},
  readFile: () => Promise.resolve(undefined),
};
