import { join } from "node:path";
import { tempRoot } from "./cache.ts";
import { giveToServer, makeDataDir, SUPERUSER } from "./data_dir.ts";
import { freePort } from "./free_port.ts";
import type { PgMajor } from "./major.ts";
import { Postmaster } from "./postmaster.ts";
import { findPrograms } from "./find_programs.ts";
import { runProgram } from "./run_program.ts";
import type { ProgramOrigin, ServerPrograms } from "./server_programs.ts";
import { configText, defaultHba, type ServerTls } from "./server_settings.ts";
import { Watchdog } from "./watchdog.ts";

/** The path of a Unix socket is limited to 104 bytes (macOS) or 108 (Linux). */
const MAX_SOCKET_DIR_LENGTH = 80;

/** Attempts to find a port that is not taken in the meantime. */
const MAX_PORT_ATTEMPTS = 5;

/** Options of {@linkcode startCluster}. */
export interface ClusterOptions {
  /** The PostgreSQL major version. */
  readonly major: PgMajor;
  /** Settings that override the defaults (no durability, `wal_level = logical`). */
  readonly settings?: Readonly<Record<string, string>>;
  /** Lines of `pg_hba.conf`. Default: `trust`, or `scram-sha-256` with a password. */
  readonly hba?: readonly string[];
  /** Enables TLS. */
  readonly tls?: ServerTls;
  /** Collation and character type of the template databases. Default: `C`. */
  readonly locale?: string;
  /** Default: `UTF8`. */
  readonly encoding?: string;
  /** Additional arguments for `initdb`. */
  readonly initdbArgs?: readonly string[];
  /** The superuser's password. Default: none; all local connections are trusted. */
  readonly password?: string;
  /** Parent of the cluster's folder. Default: the temporary folder. */
  readonly dataRoot?: string;
  /**
   * Where the server programs come from. Default: npm packages, else installed ones; only the
   * latter in a compiled executable.
   */
  readonly programs?: ProgramOrigin;
  /** Cancels starting. */
  readonly signal?: AbortSignal;
}

/** Options of {@linkcode Cluster.url}. */
export interface ClusterUrlOptions {
  /** Default: `postgres`. */
  readonly database?: string;
  /** Default: the superuser. */
  readonly user?: string;
  /** Default: the superuser's password when the user is the superuser, else none. */
  readonly password?: string;
  /** Query parameters, such as `sslmode`. */
  readonly params?: Readonly<Record<string, string>>;
}

/**
 * A disposable PostgreSQL server. States: running ⇄ stopped → disposed.
 *
 * `stop`, `kill("SIGKILL")` and a crash lead to stopped; `start` resumes on the same port and data.
 * Disposing ends the server and its child processes and removes its folders. If this process is
 * killed, a watchdog does the same.
 */
export class Cluster implements AsyncDisposable {
  /** The PostgreSQL major version. */
  readonly major: PgMajor;
  /** The address it listens on. */
  readonly host = "127.0.0.1";
  /** The bootstrap superuser. */
  readonly superuser: string = SUPERUSER;
  /** The folder of the Unix socket. */
  readonly socketDir: string;
  /** The data directory, owned by the user that the server runs as. */
  readonly dataDir: string;
  /** The server programs. */
  readonly programs: ServerPrograms;
  readonly #folders: ClusterFolders;
  readonly #password: string | undefined;
  readonly #watchdog: Watchdog;
  #port = 0;
  #postmaster: Postmaster | undefined;
  #disposed = false;

  private constructor(setup: ClusterSetup) {
    this.major = setup.programs.major;
    this.programs = setup.programs;
    this.dataDir = setup.folders.data;
    this.socketDir = setup.folders.socket;
    this.#folders = setup.folders;
    this.#password = setup.password;
    this.#watchdog = setup.watchdog;
  }

  /** See {@linkcode startCluster}. */
  static async start(options: ClusterOptions): Promise<Cluster> {
    const programs = await findPrograms(options.major, options.programs);
    const folders = await makeFolders(options.dataRoot ?? tempRoot());
    const password = options.password;
    const watchdog = new Watchdog(folders.all);
    const cluster = new Cluster({ programs, folders, password, watchdog });
    try {
      await makeDataDir(programs, folders.data, options);
      await configure(programs, folders, options);
      await cluster.#startOnFreePort(options.signal);
    } catch (error) {
      await cluster[Symbol.asyncDispose]();
      throw error;
    }
    return cluster;
  }

  /** The TCP port, which remains the same across restarts. */
  get port(): number {
    return this.#port;
  }

  /** The postmaster's process ID; 0 while stopped. */
  get postmasterPid(): number {
    return this.#postmaster && !this.#postmaster.ended ? this.#postmaster.pid : 0;
  }

  /** A connection URL over TCP. */
  url(options: ClusterUrlOptions = {}): string {
    const user = options.user ?? this.superuser;
    const password = options.password ?? (user === this.superuser ? this.#password : undefined);
    const login = [user, ...(password === undefined ? [] : [password])]
      .map(encodeURIComponent).join(":");
    const query = Object.entries(options.params ?? {})
      .map((pair) => pair.map(encodeURIComponent).join("=")).join("&");
    const database = encodeURIComponent(options.database ?? "postgres");
    const address = `${login}@${this.host}:${this.#port}`;
    return `postgresql://${address}/${database}${query ? `?${query}` : ""}`;
  }

  /** Starts the server again after it was stopped. */
  async start(): Promise<void> {
    if (this.postmasterPid) return;
    if (!await this.#launch()) throw new Error(`the server did not start:\n${await this.log()}`);
  }

  /**
   * Stops the server and keeps its data: `fast` (default) disconnects sessions cleanly, `immediate`
   * is like a crash.
   */
  async stop(mode: "fast" | "immediate" = "fast"): Promise<void> {
    await this.#postmaster?.stop(mode);
  }

  /** Stops (`fast`) and starts the server. */
  async restart(): Promise<void> {
    await this.stop();
    await this.start();
  }

  /**
   * Sends a signal to the server. SIGKILL also kills its child processes and waits for them, which
   * simulates a power failure.
   */
  async kill(signal: Deno.Signal): Promise<void> {
    await this.#postmaster?.kill(signal);
  }

  /** The server's log, across restarts. */
  async log(): Promise<string> {
    return await Deno.readTextFile(this.#folders.log).catch(() => "");
  }

  /** Stops the server and removes its folders. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#disposed) return;
    this.#disposed = true;
    await this.stop("immediate");
    for (const folder of this.#folders.all) {
      await Deno.remove(folder, { recursive: true }).catch(() => {});
    }
    await this.#watchdog[Symbol.asyncDispose]();
  }

  async #startOnFreePort(signal: AbortSignal | undefined): Promise<void> {
    for (let attempt = 1; attempt <= MAX_PORT_ATTEMPTS; attempt++) {
      this.#port = freePort();
      if (await this.#launch(signal)) return;
      if (!(await this.log()).includes("could not bind")) break;
    }
    throw new Error(`PostgreSQL ${this.major} did not start:\n${await this.log()}`);
  }

  async #launch(signal?: AbortSignal): Promise<boolean> {
    this.#postmaster = new Postmaster({
      postgres: this.programs.postgres,
      dataDir: this.dataDir,
      socketDir: this.socketDir,
      logFile: this.#folders.log,
      port: this.#port,
    });
    await this.#watchdog.watch(this.#postmaster.pid);
    return await this.#postmaster.ready(signal);
  }
}

/**
 * Starts a disposable PostgreSQL server: a new cluster on a free port of 127.0.0.1, accepting
 * connections when the promise resolves. Takes 0.3 s if the version was used on this machine
 * before.
 *
 * Throws an `Error` with the server's log if it does not start; nothing is left behind.
 *
 * Requires `--allow-run`, `--allow-net`, `--allow-sys=uid`,
 * `--allow-env=PATH,TMPDIR,HOME,XDG_CACHE_HOME`, and read and write access to the cache and the
 * temporary folder.
 *
 * @example
 * ```ts no-assert
 * import { startCluster } from "./cluster.ts";
 *
 * await using cluster = await startCluster({ major: 18 });
 * console.log(cluster.url({ database: "postgres" }));
 * ```
 */
export async function startCluster(options: ClusterOptions): Promise<Cluster> {
  return await Cluster.start(options);
}

interface ClusterSetup {
  readonly programs: ServerPrograms;
  readonly folders: ClusterFolders;
  readonly password: string | undefined;
  readonly watchdog: Watchdog;
}

interface ClusterFolders {
  readonly data: string;
  readonly socket: string;
  readonly log: string;
  /** The folders to remove on disposal. */
  readonly all: readonly string[];
}

async function makeFolders(root: string): Promise<ClusterFolders> {
  const home = await Deno.makeTempDir({ dir: root, prefix: "psr-cluster-" });
  await giveToServer(home);
  const all = [home];
  let socket = join(home, "socket");
  if (socket.length > MAX_SOCKET_DIR_LENGTH) {
    socket = await Deno.makeTempDir({ dir: "/tmp", prefix: "psr-socket-" });
    all.push(socket);
  } else {
    await Deno.mkdir(socket, { mode: 0o755 });
  }
  await giveToServer(socket);
  return { data: join(home, "data"), socket, log: join(home, "server.log"), all };
}

async function configure(
  programs: ServerPrograms,
  folders: ClusterFolders,
  options: ClusterOptions,
): Promise<void> {
  const { major, settings = {}, tls, password } = options;
  const config = configText({
    major,
    socketDir: folders.socket,
    settings,
    ...(tls ? { tls } : {}),
  });
  await Deno.writeTextFile(join(folders.data, "postgresql.conf"), config, { append: true });
  const hba = options.hba ?? defaultHba(password !== undefined);
  await Deno.writeTextFile(join(folders.data, "pg_hba.conf"), hba.join("\n") + "\n");
  const files = { "server.crt": tls?.certPem, "server.key": tls?.keyPem, "root.crt": tls?.caPem };
  for (const [name, text] of Object.entries(files)) {
    if (text === undefined) continue;
    await Deno.writeTextFile(join(folders.data, name), text, { mode: 0o600 });
    await giveToServer(join(folders.data, name));
  }
  if (password !== undefined) await setPassword(programs, folders.data, password);
}

/** Uses single-user mode, which needs no driver and bypasses `pg_hba.conf`. */
async function setPassword(programs: ServerPrograms, dataDir: string, password: string) {
  const quoted = `E'${password.replaceAll("\\", "\\\\").replaceAll("'", "''")}'`;
  await runProgram(
    [
      ...[programs.postgres, "--single", "-D", dataDir] as [string, ...string[]],
      ...["-c", "password_encryption=scram-sha-256", "postgres"],
    ],
    { asServerUser: true, input: `ALTER ROLE ${SUPERUSER} PASSWORD ${quoted}\n` },
  );
}
