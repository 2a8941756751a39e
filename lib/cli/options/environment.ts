import {
  type FilePermissions,
  libpqVariables,
  type ResolveEnvironment,
} from "../../postgres/internal.ts";

/** Variables of this tool and of terminals. */
const ownVariables = [
  "SOURCE_URL",
  "TARGET_URL",
  "NO_COLOR",
  "FORCE_COLOR",
  "TERM",
] as const;

/** Variables of the service and its client, and those a configuration file may refer to. */
const serenVariables = ["SEREN_*"] as const;

/** Those that are always read. */
const serviceVariables = ["SEREN_REMOTE_API", "SEREN_API_KEY", "SEREN_DATABASE_URL"] as const;

/** The user and their home directory. */
const userVariables = ["HOME", "USERPROFILE", "USER", "LOGNAME", "USERNAME"] as const;

/** What finding and running `pg_dump` and `pg_dumpall` needs. */
const programVariables = ["PATH", "TMPDIR", "TEMP", "LANG", "LC_ALL", "SYSTEMROOT"] as const;

/** Every variable the command line may read; `*` matches any characters. */
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
 * Reads {@linkcode environmentVariables}. Those that Deno's permissions withhold count as unset.
 */
export function readEnvironment(): Environment {
  const environment: Record<string, string> = {};
  for (const variable of [...environmentVariables, ...serviceVariables]) {
    if (variable.endsWith("*")) continue; // looked up when a file names one
    if (Deno.permissions.querySync({ name: "env", variable }).state !== "granted") continue;
    const value = Deno.env.get(variable);
    if (value !== undefined) environment[variable] = value;
  }
  return environment;
}

/** A variable for a configuration file; undefined if unset or withheld by Deno's permissions. */
export function readVariable(variable: string): string | undefined {
  if (Deno.permissions.querySync({ name: "env", variable }).state !== "granted") return undefined;
  return Deno.env.get(variable);
}

/** The environment and the files, as {@linkcode ResolveEnvironment} for resolving URLs. */
export function resolveEnvironmentOf(
  environment: Environment,
  warn: (message: string) => void,
): ResolveEnvironment {
  return { environment, readFile, permissionsOf, warn };
}

/** The permissions of a file that can be read; undefined on Windows. */
async function permissionsOf(path: string): Promise<FilePermissions | undefined> {
  const { mode, uid } = await Deno.stat(path);
  return mode === null || uid === null ? undefined : { mode, uid };
}

/** Reads a file; undefined if it does not exist. Withheld files of libpq count as missing. */
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
