import { join } from "node:path";
import type { PgMajor } from "./major.ts";
import { PG_MAJORS } from "./major.ts";
import type { ServerPrograms } from "./server_programs.ts";
import { runProgram } from "./run_program.ts";

/**
 * Where distributions and installers put server programs outside the PATH; `N` stands for the major
 * version.
 */
const WELL_KNOWN = [
  "/usr/lib/postgresql/N/bin",
  "/usr/pgsql-N/bin",
  "/usr/libexec/postgresqlN",
  "/opt/homebrew/opt/postgresql@N/bin",
  "/usr/local/opt/postgresql@N/bin",
  "/Applications/Postgres.app/Contents/Versions/N/bin",
];

/**
 * The installed server programs of a major version, from the well-known folders, the PATH or
 * `pg_config`. Throws an `Error` with the folders searched if there are none.
 *
 * Requires `--allow-run`, `--allow-env=PATH`, and read access to those folders.
 */
export async function installedPrograms(major: PgMajor): Promise<ServerPrograms> {
  const folders = await candidateFolders(major);
  for (const folder of folders) {
    const found = await programsIn(folder);
    if (found?.major === major) return found;
  }
  throw new Error(`PostgreSQL ${major} is not installed (searched ${folders.join(", ")})`);
}

/**
 * The installed major versions, oldest first. Requires the same permissions as
 * {@linkcode installedPrograms}.
 */
export async function installedMajors(): Promise<PgMajor[]> {
  const found = new Set<PgMajor>();
  for (const major of PG_MAJORS) {
    if (await installedPrograms(major).catch(() => undefined)) found.add(major);
  }
  return [...found];
}

async function candidateFolders(major: PgMajor): Promise<string[]> {
  const folders = WELL_KNOWN.map((folder) => folder.replace("N", String(major)));
  folders.push(...(Deno.env.get("PATH") ?? "").split(":").filter((folder) => folder !== ""));
  const configured = await runProgram(["pg_config", "--bindir"]).catch(() => "");
  if (configured.trim()) folders.push(configured.trim());
  return [...new Set(folders)];
}

async function programsIn(folder: string): Promise<ServerPrograms | undefined> {
  const postgres = join(folder, "postgres");
  const initdb = join(folder, "initdb");
  for (const path of [postgres, initdb]) {
    if (!(await Deno.stat(path).catch(() => undefined))?.isFile) return undefined;
  }
  // "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"
  const version = /\) (\d+)[.\w]*/.exec(await runProgram([postgres, "--version"]).catch(() => ""));
  const major = PG_MAJORS.find((each) => String(each) === version?.[1]);
  if (!version || !major) return undefined;
  const build = `installed-${version[0].slice(2)}`;
  return { origin: "installed", major, build, postgres, initdb };
}
