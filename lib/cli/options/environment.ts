import { libpqVariables, type ResolveEnvironment } from "../../postgres/internal.ts";

/** Variables of this tool and of terminals. */
const ownVariables = [
  "SOURCE_URL",
  "TARGET_URL",
  "NO_COLOR",
  "FORCE_COLOR",
  "TERM",
] as const;

/**
 * Variables of the service and its client, and those that a configuration file may refer to without
 * a further permission.
 */
const serenVariables = ["SEREN_*"] as const;

/** Those of them that are read always. */
const serviceVariables = ["SEREN_REMOTE_API", "SEREN_API_KEY", "SEREN_DATABASE_URL"] as const;

/** Who and where the user is. */
const userVariables = ["HOME", "USERPROFILE", "USER", "LOGNAME", "USERNAME"] as const;

/** What `pg_dump` and `pg_dumpall` need to be found and to run. */
const programVariables = ["PATH", "TMPDIR", "TEMP", "LANG", "LC_ALL", "SYSTEMROOT"] as const;

/** Every variable that the command line may look at; `*` stands for any characters. */
export const environmentVariables: readonly string[] = [
  ...ownVariables,
  ...serenVariables,
  ...libpqVariables,
  ...userVariables,
  ...programVariables,
];

/** Environment variables by name; one that is not set is absent. */
export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Reads {@linkcode environmentVariables}. One that Deno's permissions withhold counts as not set;
 * nobody is asked.
 */
export function readEnvironment(): Environment {
  const environment: Record<string, string> = {};
  for (const variable of [...environmentVariables, ...serviceVariables]) {
    if (variable.endsWith("*")) continue; // the others are looked up when a file names them
    if (Deno.permissions.querySync({ name: "env", variable }).state !== "granted") continue;
    const value = Deno.env.get(variable);
    if (value !== undefined) environment[variable] = value;
  }
  return environment;
}

/**
 * One more variable, for a configuration file; undefined when it is not set or Deno's permissions
 * withhold it.
 */
export function readVariable(variable: string): string | undefined {
  if (Deno.permissions.querySync({ name: "env", variable }).state !== "granted") return undefined;
  return Deno.env.get(variable);
}

/** The environment and the files, as {@linkcode ResolveEnvironment} for resolving URLs. */
export function resolveEnvironmentOf(environment: Environment): ResolveEnvironment {
  return { environment, readFile };
}

/**
 * Reads a file; undefined when there is none. libpq's own files count as absent where Deno's
 * permissions withhold them.
 */
export async function readFile(path: string): Promise<string | undefined> {
  const isDefault = /[/\\]\.(?:pgpass|postgresql[/\\][\w.]+)$/.test(path);
  const permitted = Deno.permissions.querySync({ name: "read", path }).state === "granted";
  if (isDefault && !permitted) return undefined;
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) {
      return undefined;
    }
    throw error;
  }
}
