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
  "INIT_CWD",
  "npm_command",
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

/** How the process was started, as far as it can tell. */
export interface Start {
  /** URL of the main module; of an executable, a file inside it. */
  readonly mainModule: string;
  /** Path of the executable; undefined if Deno runs the source. */
  readonly executable: string | undefined;
  /** `PATH`, split. */
  readonly folders: readonly string[];
  /** Whether a task of `deno.json` runs it. */
  readonly isTask: boolean;
  /** Whether npx has fetched Deno. */
  readonly isNpx: boolean;
  /** Names of permissions that Deno has granted without limits. */
  readonly granted: readonly string[];
  /** Whether it has granted all of them. */
  readonly isAllGranted: boolean;
}

/** Permissions that flags of `deno run` grant. */
const permissionNames = ["net", "read", "write", "env", "run", "sys", "ffi"] as const;

/** Reads {@linkcode Start}. Deno sets `INIT_CWD` for tasks, npm `npm_command`. */
export function readStart(): Start {
  const granted = permissionNames.filter((name) =>
    Deno.permissions.querySync({ name }).state === "granted"
  );
  const folders = readVariable("PATH")?.split(Deno.build.os === "windows" ? ";" : ":") ?? [];
  return {
    mainModule: Deno.mainModule,
    executable: Deno.build.standalone ? Deno.execPath() : undefined,
    folders,
    isTask: readVariable("INIT_CWD") !== undefined,
    isNpx: readVariable("npm_command") === "exec",
    granted,
    isAllGranted: granted.length === permissionNames.length,
  };
}
