/**
 * The tools compared: this tool and its alternatives.
 *
 * @module
 */
import { fileURLToPath } from "node:url";
import { cliCommand } from "../support/cli.ts";
import { commandLine } from "./measure.ts";

/** The input of a run. */
export interface RunInput {
  /** The program of pgcopydb. */
  readonly pgcopydb: string;
  readonly source: string;
  readonly target: string;
  readonly jobs: number;
  /** The run's working folder. */
  readonly scratch: string;
}

/** A tool that copies. */
export interface Contender {
  readonly name: string;
  /** Required programs. */
  readonly needs: readonly string[];
  /** A script for `sh`. */
  readonly script: (input: RunInput) => string;
  /** Copies rows only: the table is created beforehand. */
  readonly rowsOnly?: boolean;
}

const rawStream = fileURLToPath(new URL("raw_stream.ts", import.meta.url));

/** This tool: the command line, run from source in a separate process. */
export function ours(
  name = "this tool",
  { jobs, options = [] }: { readonly jobs?: number; readonly options?: readonly string[] } = {},
): Contender {
  return {
    name,
    needs: [],
    script: ({ source, target, jobs: asked }) =>
      commandLine([
        ...[Deno.execPath(), ...cliCommand, "init", "--yes", "--source", source],
        ...["--target", target, "--jobs", String(jobs ?? asked), ...options],
        // the source also has databases of other scenarios
        ...["--include-databases", databaseOf(source)],
        ...["--map", `${databaseOf(source)}=${databaseOf(target)}`],
      ]),
  };
}

function databaseOf(url: string): string {
  return new URL(url).pathname.slice(1);
}

/** Only the relay of this tool, for one existing table: the counterpart of two psql processes. */
export function oursStream(
  name: string,
  { table, format }: { readonly table: string; readonly format: "text" | "binary" },
): Contender {
  return {
    name,
    needs: [],
    rowsOnly: true,
    script: ({ source, target }) =>
      commandLine([
        ...[Deno.execPath(), ...cliCommand.slice(0, -1), rawStream],
        ...[source, target, table, format],
      ]),
  };
}

/** Two psql processes connected by a pipe. */
export function psqlStream(
  name: string,
  { table, format }: { readonly table: string; readonly format: "text" | "binary" },
): Contender {
  const options = `(FORMAT ${format})`;
  const psql = (url: string, command: string) =>
    commandLine(["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", url, "-c", command]);
  return {
    name,
    needs: ["psql"],
    rowsOnly: true,
    script: ({ source, target }) =>
      psql(source, `COPY ${table} TO STDOUT ${options}`) + " | " +
      psql(target, `COPY ${table} FROM STDIN ${options}`),
  };
}

/** pgcopydb; 0.10 supports neither binary COPY nor omitting VACUUM. */
export function pgcopydb(name = "pgcopydb", options: readonly string[] = []): Contender {
  return {
    name,
    needs: ["pgcopydb", "pg_dump", "pg_restore"],
    script: ({ pgcopydb, source, target, jobs, scratch }) =>
      commandLine([
        ...[pgcopydb, "clone", "--source", source, "--target", target],
        ...["--dir", `${scratch}/pgcopydb`, "--table-jobs", String(jobs)],
        ...["--index-jobs", String(jobs), ...options],
      ]),
  };
}

/** The performance options of pgcopydb 0.10. */
export const pgcopydbFast = pgcopydb("pgcopydb, fastest options", [
  ...["--skip-large-objects", "--no-comments", "--no-acl", "--no-owner"],
  ...["--split-tables-larger-than", "64MB"],
]);

/** `pg_dump -Fd`, then `pg_restore`. */
export function dumpAndRestore(
  name = "pg_dump -Fd; pg_restore",
  options: readonly string[] = [],
): Contender {
  return {
    name,
    needs: ["pg_dump", "pg_restore"],
    script: ({ source, target, jobs, scratch }) =>
      [
        ["pg_dump", "-Fd", "-j", String(jobs), ...options, "-f", `${scratch}/dump`, "-d", source],
        ["pg_restore", "-e", "-j", String(jobs), "-d", target, `${scratch}/dump`],
      ].map(commandLine).join(" && "),
  };
}

/** `pg_dump | psql`. */
export const dumpIntoPsql: Contender = {
  name: "pg_dump | psql",
  needs: ["pg_dump", "psql"],
  script: ({ source, target }) =>
    commandLine(["pg_dump", "-d", source]) + " | " +
    commandLine(["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-o", "/dev/null", "-d", target]),
};

/** The first line that pgcopydb prints about itself; undefined if it cannot be run. */
export async function pgcopydbVersion(pgcopydb: string): Promise<string | undefined> {
  const command = new Deno.Command(pgcopydb, { args: ["--version"], stderr: "null" });
  try {
    const { success, stdout } = await command.output();
    return success ? new TextDecoder().decode(stdout).split("\n")[0] : undefined;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** The required programs that are not installed. */
export async function missingPrograms(
  { needs }: Contender,
  { pgcopydb }: Pick<RunInput, "pgcopydb">,
): Promise<readonly string[]> {
  const found = await Promise.all(needs.map(async (program) => {
    const { success } = await new Deno.Command("sh", {
      args: ["-c", 'command -v "$1"', "sh", program === "pgcopydb" ? pgcopydb : program],
      stdout: "null",
      stderr: "null",
    }).output();
    return success;
  }));
  return needs.filter((_, index) => !found[index]);
}
