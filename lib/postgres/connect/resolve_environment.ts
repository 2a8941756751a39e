/**
 * Environment and files that a connection URL is resolved against.
 *
 * @module
 */

/** What resolving reads. The library does not access the environment itself. */
export interface ResolveEnvironment {
  /** The environment (`PG*`, `HOME`, `USER`). */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /**
   * Reads a file; undefined when it does not exist. Requires `--allow-read` for libpq's files that
   * exist.
   */
  readonly readFile: (path: string) => Promise<string | undefined>;
}

/** An environment in which only the URL counts. */
export const emptyEnvironment: ResolveEnvironment = {
  environment: {},
  readFile: () => Promise.resolve(undefined),
};
