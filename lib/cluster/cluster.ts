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

/** A Unix socket's path must be shorter than 104 bytes (macOS) or 108 (Linux). */
const LONGEST_SOCKET_DIR = 80;

/** How often to try another port when the chosen one was taken meanwhile. */
const PORT_TRIES = 5;

/** What {@linkcode startCluster} takes. */
export interface ClusterOptions {
  /** Which PostgreSQL. */
  readonly major: PgMajor;
  /** Lines of `postgresql.conf`, over the defaults (no durability, `wal_level = logical`). */
  readonly settings?: Readonly<Record<string, string>>;
  /**
   * Lines of `pg_hba.conf` in place of the defaults (`trust`, or `scram-sha-256` with a password).
   */
  readonly hba?: readonly string[];
  /** Switches TLS on. */
  readonly tls?: ServerTls;
  /** Collation and character type of the template databases. Default: `C`. */
  readonly locale?: string;
  /** Default: `UTF8`. */
  readonly encoding?: string;
  /** Further arguments of `initdb`. */
  readonly initdbArgs?: readonly string[];
  /** The superuser's password. Default: none, everybody from this machine gets in. */
  readonly password?: string;
  /** The folder to make the cluster's folder in. Default: the temporary folder. */
  readonly dataRoot?: string;
  /**
   * Where the programs come from. Default: npm's packages, else what is installed; in a compiled
   * executable only the latter.
   */
  readonly programs?: ProgramOrigin;
  /** Gives up starting. */
  readonly signal?: AbortSignal;
}

/** What goes into a {@linkcode Cluster.url}. */
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
 * A PostgreSQL server of one's own, which leaves nothing behind: running ⇄ stopped → disposed.
 *
 * `stop`, `kill("SIGKILL")` and a crash lead to stopped, `start` back to running on the same port
 * and data. Disposing ends the server, its children and its folders. If this process is killed, a
 * watchdog does the same.
 */
export class Cluster implements AsyncDisposable {
  /** Which PostgreSQL it is. */
  readonly major: PgMajor;
  /** Where it listens. */
  readonly host = "127.0.0.1";
  /** The role that owns everything at first. */
  readonly superuser: string = SUPERUSER;
  /** Where the Unix socket is. */
  readonly socketDir: string;
  /** The data directory; it belongs to the user that the server runs as. */
  readonly dataDir: string;
  /** What it runs. */
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

  /** Makes and starts a cluster: see {@linkcode startCluster}. */
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

  /** The TCP port, the same for the cluster's whole life. */
  get port(): number {
    return this.#port;
  }

  /** The server's process, which is a child of this one; 0 while stopped. */
  get postmasterPid(): number {
    return this.#postmaster && !this.#postmaster.ended ? this.#postmaster.pid : 0;
  }

  /** A connection URL, by TCP. */
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

  /** Starts the stopped server again, on the same port. */
  async start(): Promise<void> {
    if (this.postmasterPid) return;
    if (!await this.#launch()) throw new Error(`Server did not start:\n${await this.log()}`);
  }

  /**
   * Ends the server and keeps its data: `fast` (default) ends sessions cleanly, `immediate` is like
   * a crash.
   */
  async stop(mode: "fast" | "immediate" = "fast"): Promise<void> {
    await this.#postmaster?.stop(mode);
  }

  /** Stops (`fast`) and starts. */
  async restart(): Promise<void> {
    await this.stop();
    await this.start();
  }

  /**
   * Sends the server a signal. With SIGKILL its children are killed too and awaited: a power
   * failure.
   */
  async kill(signal: Deno.Signal): Promise<void> {
    await this.#postmaster?.kill(signal);
  }

  /** What the server has logged so far, over all its starts. */
  async log(): Promise<string> {
    return await Deno.readTextFile(this.#folders.log).catch(() => "");
  }

  /** Ends the server and removes its folders. */
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
    for (let attempt = 1; attempt <= PORT_TRIES; attempt++) {
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
 * Starts a PostgreSQL server to be thrown away: a fresh cluster on a free port of 127.0.0.1, ready
 * for sessions when the promise resolves. Takes 0.3 s when its version was used on this machine
 * before.
 *
 * Throws an `Error` with the server's log when it does not start; nothing is left behind then.
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
  /** What to remove at the end. */
  readonly all: readonly string[];
}

async function makeFolders(root: string): Promise<ClusterFolders> {
  const home = await Deno.makeTempDir({ dir: root, prefix: "psr-cluster-" });
  await giveToServer(home);
  const all = [home];
  let socket = join(home, "socket");
  if (socket.length > LONGEST_SOCKET_DIR) {
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

/** In single-user mode, where neither a driver nor a way in past `pg_hba.conf` is needed. */
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
