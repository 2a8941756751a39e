/**
 * Runs PostgreSQL client programs as child processes that connect to an endpoint.
 *
 * @module
 */
import {
  decodeOpaque,
  ExitCode,
  redact,
  ReplicatorError,
  retry,
  Secret,
} from "../../core/internal.ts";
import {
  ConnectionError,
  type Endpoint,
  formatPassfileEntry,
  minLibpqMajor,
  missingLibpqParameters,
  namesRole,
  openSession,
  passwordFor,
  watchProgramLocks,
} from "../../postgres/internal.ts";
import { conninfoFor, withToolSettings } from "./conninfo.ts";
import { programEnvironment, type ToolSearch } from "./native_tools.ts";
import { SecretFolder } from "./secret_folder.ts";

/** What {@linkcode runTool} takes. */
export interface ToolRunOptions {
  /** Path of the program. */
  readonly program: string;
  /** Its major version. */
  readonly major: number;
  /** Arguments, except those for the connection. */
  readonly args: readonly string[];
  /** What it connects to. */
  readonly endpoint: Endpoint;
  /** Filtered by `programEnvironment`. */
  readonly environment: ToolSearch["environment"];
  /** Terminates the program. */
  readonly signal?: AbortSignal | undefined;
  /**
   * Delays before further attempts when the connection fails.
   *
   * @default [2_000, 4_000, 8_000]
   */
  readonly retryDelaysMs?: readonly number[];
  /** Called before each delay. */
  readonly onRetry?: (
    retry: { readonly error: unknown; readonly attempt: number; readonly delayMs: number },
  ) => void;
}

/**
 * Runs a program that only reads from the server, and returns its standard output. The password is
 * passed in a file that only the owner can read and that is removed afterwards. The program gets no
 * `PG*` variables and no settings of the database or role. It is run again when the connection
 * fails.
 *
 * Requires `--allow-run` of the program, `--allow-write` of the temporary folder, and `--allow-net`
 * for the server.
 *
 * @throws ConnectionError when all connection attempts fail; ReplicatorError with the program's
 * messages otherwise
 */
export async function runTool(options: ToolRunOptions): Promise<string> {
  const { signal, onRetry, retryDelaysMs = defaultRetryDelaysMs } = options;
  let run: ToolRunOptions = { ...options, endpoint: withToolSettings(options.endpoint) };
  return await retry(async () => {
    try {
      return await runOnce(run);
    } catch (error) {
      const plain = run.endpoint.options === options.endpoint.options
        ? undefined
        : await withoutToolSettings(options, run);
      if (plain === undefined) throw error;
      run = plain;
      return await runOnce(run);
    }
  }, {
    delaysMs: retryDelaysMs,
    signal,
    isRetryable: (error) => error instanceof ConnectionError && error.transient,
    onRetry: (error, attempt, delayMs) => onRetry?.({ error, attempt, delayMs }),
  });
}

const defaultRetryDelaysMs: readonly number[] = [2_000, 4_000, 8_000];

/**
 * The run without settings in its connection string, if those are what the server refuses: poolers
 * accept few startup parameters or none. The program then sets the role itself.
 */
async function withoutToolSettings(
  options: ToolRunOptions,
  { endpoint: pinned }: ToolRunOptions,
): Promise<ToolRunOptions | undefined> {
  const { endpoint, signal } = options;
  try {
    await using _ = await openSession(pinned, { signal });
    return undefined;
  } catch (error) {
    if (!(error instanceof ConnectionError)) throw error;
  }
  try {
    await using session = await openSession(endpoint, { signal });
    if (namesRole(endpoint)) return options;
    const { role } = await session.queryOne<{ readonly role: string }>(
      "SELECT session_user::pg_catalog.text AS role",
    );
    return { ...options, args: [...options.args, `--role=${role}`] };
  } catch (error) {
    if (!(error instanceof ConnectionError)) throw error;
    return undefined; // the server is unreachable, which the run reports
  }
}

async function runOnce(options: ToolRunOptions): Promise<string> {
  const { program, major, environment, signal } = options;
  refuseMissingParameters(options);
  const endpoint: Endpoint = {
    ...options.endpoint,
    applicationName: nameOfRun(options.endpoint.applicationName),
  };
  await using folder = await SecretFolder.make();
  const passfile = await folder.write("pgpass", passfileText(endpoint));
  const passphrase = endpoint.tls.client?.passphrase;
  const service = passphrase === undefined ? undefined : await folder.write(
    "pg_service.conf",
    `[replicator]\nsslpassword=${passphrase.reveal()}\n`,
  );
  const conninfo = conninfoFor(endpoint, major) +
    (service === undefined ? "" : " service=replicator");

  const child = new Deno.Command(program, {
    args: ["--no-password", `--dbname=${conninfo}`, ...options.args],
    clearEnv: true,
    env: {
      ...programEnvironment(environment),
      PGPASSFILE: passfile,
      ...(service === undefined ? {} : { PGSERVICEFILE: service }),
    },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const kill = () => killQuietly(child);
  signal?.addEventListener("abort", kill, { once: true });
  const ended = new AbortController();
  const watching = watchProgramLocks(endpoint, {
    applicationName: endpoint.applicationName,
    signal: ended.signal,
  });
  try {
    const [output, messages, { success, code }] = await Promise.all([
      new Response(child.stdout).bytes(),
      new Response(child.stderr).text(),
      child.status,
    ]);
    signal?.throwIfAborted();
    if (success) return decodeOpaque(output);
    throw failure(options, messages, code);
  } finally {
    signal?.removeEventListener("abort", kill);
    ended.abort();
    await watching;
  }
}

/** A program that does not know a parameter of the URL would connect without it. */
function refuseMissingParameters({ program, major, endpoint }: ToolRunOptions): void {
  const missing = missingLibpqParameters(endpoint, major);
  if (missing.length === 0) return;
  throw new ReplicatorError(
    `${program} of PostgreSQL ${major} does not support ${missing.join(", ")}`,
    {
      side: endpoint.side,
      object: endpoint.database,
      exitCode: ExitCode.prerequisite,
      remedy:
        `use the embedded pg_dump (--dump-tool embedded), or install the client programs of PostgreSQL ${
          minLibpqMajor(endpoint)
        } or newer`,
    },
  );
}

/**
 * A unique application_name for the run's session; the server truncates names to 63 bytes.
 */
function nameOfRun(applicationName: string): string {
  return `${applicationName.slice(0, 40)} ${crypto.randomUUID().slice(0, 8)}`;
}

function killQuietly(child: Deno.ChildProcess): void {
  try {
    child.kill("SIGTERM");
  } catch (error) {
    if (!(error instanceof TypeError)) throw error; // it has already ended
  }
}

/** One line for each host with a known password. */
function passfileText(endpoint: Endpoint): string {
  const any = { host: "*", port: "*", database: "*", user: "*" };
  const lines = endpoint.password !== undefined || endpoint.hosts.length === 1
    ? endpoint.hosts.slice(0, 1).map((hostEntry) => ({ ...any, hostEntry }))
    : endpoint.hosts.map((hostEntry) => ({
      ...any,
      host: hostEntry.host.startsWith("/") ? "*" : hostEntry.host,
      port: String(hostEntry.port),
      hostEntry,
    }));
  return lines.map(({ hostEntry, ...entry }) => {
    const password = passwordFor(endpoint, hostEntry);
    if (password === undefined) return "";
    return `${formatEntry(endpoint, entry, password)}\n`;
  }).join("");
}

function formatEntry(
  endpoint: Endpoint,
  entry: { host: string; port: string; database: string; user: string },
  password: Secret,
): string {
  try {
    return formatPassfileEntry({ ...entry, password });
  } catch (error) {
    throw new ReplicatorError(
      "the password contains a line break, which client programs do not support",
      {
        side: endpoint.side,
        object: endpoint.user,
        exitCode: ExitCode.prerequisite,
        remedy: "use the embedded pg_dump (--dump-tool embedded), or change the password",
        cause: error,
      },
    );
  }
}

/**
 * libpq's messages about the connection, in English by `programEnvironment`: client programs report
 * no SQLSTATE.
 */
const connectionLost =
  /connection to (?:server|client)|server closed the connection|could not (?:connect|receive|send)|SSL (?:connection has been closed|SYSCALL|error)|lost synchronization|terminating connection|the database system is (?:starting|shutting|in recovery)|timeout expired|no connection to the server|too many (?:clients|connections)|remaining connection slots/i;
const refused =
  /authentication failed|no password supplied|no pg_hba\.conf entry|does not exist|permission denied|certificate|is not permitted|does not support SSL/i;

function failure({ program, endpoint }: ToolRunOptions, messages: string, code: number): Error {
  const name = /pg_dumpall|pg_dump/.exec(program.slice(-16))?.[0] ?? program;
  const lines = redact(messages).split("\n").filter((line) => line.trim() !== "");
  if (connectionLost.test(messages)) {
    return new ConnectionError(
      `${name} could not connect or lost its connection: ${lines.join("; ")}`,
      {
        endpoint,
        transient: !refused.test(messages),
        remedy: "check the server and the network",
      },
    );
  }
  return new ReplicatorError(`${name} failed (exit code ${code})`, {
    side: endpoint.side,
    object: endpoint.database,
    details: lines,
    remedy: /permission denied/.test(messages)
      ? "connect as a role that can read all objects, such as a superuser or a member of the owners"
      : "see the program's messages above",
  });
}
