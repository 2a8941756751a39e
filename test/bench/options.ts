import { parseArgs } from "node:util";
import { PG_MAJORS, type PgMajor } from "../../lib/cluster/mod.ts";

/** The options of a benchmark. */
export interface BenchOptions {
  /** Names of scenarios. */
  readonly scenarios: readonly string[];
  readonly rounds: number;
  /** Size of a scenario's data on disk without indexes, in megabytes. */
  readonly megabytes: number;
  /** Tables of `small-tables`. */
  readonly tables: number;
  /** Number of jobs for every tool. */
  readonly jobs: number;
  readonly fsync: boolean;
  /** The version of both servers. */
  readonly major: PgMajor;
  /** The time limit for one run of a tool. */
  readonly patienceSeconds: number;
  /** Whether to sample the wait events of the servers. */
  readonly waits: boolean;
  /** Whether to print the output of the tools. */
  readonly verbose: boolean;
  /** The program of pgcopydb; a name is looked up on PATH. */
  readonly pgcopydb: string;
  /** The file for the JSON document. */
  readonly json: string | undefined;
}

/** For `--help`. */
export const usage = `deno task bench [SCENARIO…] [options]

  --rounds N       how often each tool runs (default: 3)
  --size MB        size of a scenario's data on disk, without indexes (default: 100)
  --tables N       number of tables in small-tables and tiny-tables (default: 2000)
  --jobs N         jobs for each tool (default: 4)
  --major N        version of both servers (default: 15; statistics needs 18)
  --patience S     time limit for each run of a tool, in seconds (default: 300)
  --no-fsync       servers that do not flush to disk
  --waits          sample what both servers wait for while this tool runs
  --pgcopydb FILE  the pgcopydb to compare with (default: the one on PATH); its
                   programs have to be of the servers' version
  --json FILE      write all measurements as JSON
  --verbose        print the output of the tools`;

/**
 * Reads the arguments.
 *
 * @param known the names of all scenarios; by default all run
 * @throws Error that lists every problem
 */
export function readOptions(args: readonly string[], known: readonly string[]): BenchOptions {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    allowNegative: true,
    options: {
      rounds: { type: "string", default: "3" },
      size: { type: "string", default: "100" },
      tables: { type: "string", default: "2000" },
      jobs: { type: "string", default: "4" },
      major: { type: "string", default: "15" },
      patience: { type: "string", default: "300" },
      fsync: { type: "boolean", default: true },
      waits: { type: "boolean", default: false },
      verbose: { type: "boolean", default: false },
      pgcopydb: { type: "string", default: "pgcopydb" },
      json: { type: "string" },
    },
  });
  const problems: string[] = [];
  const whole = (name: "rounds" | "size" | "tables" | "jobs" | "patience") => {
    const number = Number(values[name]);
    if (!Number.isInteger(number) || number < 1) {
      problems.push(`--${name}: "${values[name]}" is not a whole number from 1 up`);
    }
    return number;
  };
  for (const name of positionals) {
    if (!known.includes(name)) {
      problems.push(`"${name}" is no scenario; there are ${known.join(", ")}`);
    }
  }
  const major = PG_MAJORS.find((known) => String(known) === values.major);
  if (major === undefined) {
    problems.push(`--major: "${values.major}" is not one of ${PG_MAJORS.join(", ")}`);
  }
  const options: BenchOptions = {
    major: major ?? 15,
    scenarios: positionals.length > 0 ? positionals : known,
    rounds: whole("rounds"),
    megabytes: whole("size"),
    tables: whole("tables"),
    jobs: whole("jobs"),
    patienceSeconds: whole("patience"),
    fsync: values.fsync,
    waits: values.waits,
    verbose: values.verbose,
    pgcopydb: values.pgcopydb,
    json: values.json,
  };
  if (problems.length > 0) throw new Error(problems.join("\n"));
  return options;
}
