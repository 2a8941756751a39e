/**
 * Environment and files that a connection URL is resolved against.
 *
 * @module
 */

/** What resolving may look at. The library reads no environment of its own. */
export interface ResolveEnvironment {
  /** The environment (`PG*`, `HOME`, `USER`). */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /**
   * Reads a file; undefined when there is none. Requires `--allow-read` of the files of libpq that
   * exist.
   */
  readonly readFile: (path: string) => Promise<string | undefined>;
}

/** Surroundings for a library caller who wants the URL alone to count. */
export const emptyEnvironment: ResolveEnvironment = {
  environment: {},
  readFile: () => Promise.resolve(undefined),
};
