/**
 * Finds pg_dump and pg_dumpall installed on this machine.
 *
 * @module
 */
import { delimiter, join } from "node:path";

/** Where to search, and the environment of the programs. */
export interface ToolSearch {
  /** A folder to search before the `PATH`. */
  readonly binDirectory: string | undefined;
  /** `PATH`, `HOME`, the locale… */
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** One installation of the client programs. */
export interface InstalledTools {
  /** Path of pg_dump. */
  readonly pgDump: string;
  /** Path of pg_dumpall. */
  readonly pgDumpall: string;
  /** `16.4` */
  readonly version: string;
  /** Major version. */
  readonly major: number;
  /** Whether it is in the folder that the user named. */
  readonly named: boolean;
  /** Whether it is a wrapper that selects another program (Debian's pg_wrapper). */
  readonly wrapper: boolean;
}

/** Folders with one subfolder per installed version, and the path below that. */
const versionedFolders = [
  { root: "/usr/lib/postgresql", below: "bin" },
  { root: "/opt/homebrew/opt", below: "bin" },
  { root: "/usr/local/opt", below: "bin" },
  { root: "/Library/PostgreSQL", below: "bin" },
  { root: "/Applications/Postgres.app/Contents/Versions", below: "bin" },
  { root: "C:\\Program Files\\PostgreSQL", below: "bin" },
] as const;

const plainFolders = ["/usr/local/pgsql/bin", "/opt/homebrew/bin", "/usr/local/bin", "/usr/bin"];

const pgdgFolders = Array.from({ length: 9 }, (_, index) => `/usr/pgsql-${12 + index}/bin`);

/**
 * Finds the installations: first the one in the named folder, then the newest; a wrapper comes
 * after the programs of its version.
 *
 * Requires `--allow-run` of the programs, and `--allow-read` for folders outside the `PATH`. What
 * may not be read or run counts as not installed.
 */
export async function findInstalledTools(search: ToolSearch): Promise<readonly InstalledTools[]> {
  const path = (search.environment["PATH"] ?? "").split(delimiter).filter((folder) =>
    folder !== ""
  );
  const versioned = await Promise.all(
    versionedFolders.map(({ root, below }) => subfolders(root, below)),
  );
  const { binDirectory } = search;
  const folders = new Set([
    ...(binDirectory === undefined ? [] : [binDirectory]),
    ...path,
    ...versioned.flat(),
    ...pgdgFolders,
    ...plainFolders,
  ]);
  const found = await Promise.all(
    [...folders].map((folder) => toolsIn(folder, folder === binDirectory, search.environment)),
  );
  return found
    .filter((tools) => tools !== undefined)
    .sort((a, b) =>
      Number(b.named) - Number(a.named) || compareVersions(b.version, a.version) ||
      Number(a.wrapper) - Number(b.wrapper)
    );
}

async function subfolders(root: string, below: string): Promise<readonly string[]> {
  const folders: string[] = [];
  try {
    for await (const { name } of Deno.readDir(root)) {
      if (/\d|postgres|libpq/.test(name)) folders.push(join(root, name, below));
    }
  } catch (error) {
    if (!isAbsent(error)) throw error;
  }
  return folders;
}

async function toolsIn(
  folder: string,
  named: boolean,
  environment: ToolSearch["environment"],
): Promise<InstalledTools | undefined> {
  const suffix = Deno.build.os === "windows" ? ".exe" : "";
  const pgDump = join(folder, `pg_dump${suffix}`);
  const pgDumpall = join(folder, `pg_dumpall${suffix}`);
  const [dump, dumpall] = await Promise.all([
    programVersion(pgDump, environment),
    programVersion(pgDumpall, environment),
  ]);
  if (dump === undefined || dumpall !== dump) return undefined;
  return {
    pgDump,
    pgDumpall,
    version: dump,
    major: Number.parseInt(dump, 10),
    named,
    wrapper: await isWrapper(pgDump),
  };
}

/** `16.4` from `pg_dump (PostgreSQL) 16.4 (Debian 16.4-1.pgdg120+1)`; betas are `19beta1`. */
function parseToolVersion(output: string): string | undefined {
  return /\(PostgreSQL\) (\d+(?:\.\d+|(?:alpha|beta|rc|devel)\d*)?)/.exec(output)?.[1];
}

async function programVersion(
  program: string,
  environment: ToolSearch["environment"],
): Promise<string | undefined> {
  try {
    const { success, stdout } = await new Deno.Command(program, {
      args: ["--version"],
      clearEnv: true,
      env: programEnvironment(environment),
      stdin: "null",
      stderr: "null",
    }).output();
    return success ? parseToolVersion(new TextDecoder().decode(stdout)) : undefined;
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw error;
  }
}

async function isWrapper(program: string): Promise<boolean> {
  try {
    return !/pg_dump(?:\.exe)?$/.test(await Deno.realPath(program));
  } catch (error) {
    if (isAbsent(error)) return false;
    throw error;
  }
}

function isAbsent(error: unknown): boolean {
  return error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotCapable ||
    error instanceof Deno.errors.PermissionDenied || error instanceof Deno.errors.NotADirectory;
}

function compareVersions(a: string, b: string): number {
  return a.localeCompare(b, "en", { numeric: true });
}

/** Variables passed to client programs: none from which libpq reads connection parameters. */
const passedOn =
  /^(?:PATH|HOME|USERPROFILE|APPDATA|SYSTEMROOT|TMPDIR|TEMP|TMP|LD_LIBRARY_PATH|DYLD_LIBRARY_PATH|PGSYSCONFDIR|PGLOCALEDIR|KRB5.*|SSL_CERT_(?:FILE|DIR))$/i;

/** The environment for client programs. Their messages are in English, because they are parsed. */
export function programEnvironment(
  environment: ToolSearch["environment"],
): Record<string, string> {
  const passed = Object.entries(environment).flatMap(([name, value]) =>
    value !== undefined && passedOn.test(name) ? [[name, value] as const] : []
  );
  // timestamps in their output do not depend on the server's settings
  const pinned = { LC_ALL: "C", LANGUAGE: "C", PGTZ: "UTC", PGDATESTYLE: "ISO, YMD" };
  return { ...Object.fromEntries(passed), ...pinned };
}
