import postgres from "postgres";
import { poll } from "../../lib/core/internal.ts";
import { freePort } from "../../lib/cluster/free_port.ts";

/** Where Debian installs it. */
const program = "/usr/sbin/pgbouncer";

/** Whether PgBouncer is installed on this machine. */
export async function hasPgBouncer(): Promise<boolean> {
  return await Deno.stat(program).then(({ isFile }) => isFile, () => false);
}

/** How its pool works. */
export type PoolMode = "session" | "transaction" | "statement";

/** A running PgBouncer with one database, by default `app`. States: running → stopped. */
export class PgBouncer implements AsyncDisposable {
  /** The URL of the database, through the pool. */
  readonly url: string;
  readonly #folder: string;
  readonly #port: number;
  readonly #mode: PoolMode;
  readonly #database: string;
  readonly #child: Deno.ChildProcess;

  private constructor(
    { folder, port, mode, database, child }: {
      readonly folder: string;
      readonly port: number;
      readonly mode: PoolMode;
      readonly database: string;
      readonly child: Deno.ChildProcess;
    },
  ) {
    this.#folder = folder;
    this.#port = port;
    this.#mode = mode;
    this.#database = database;
    this.#child = child;
    this.url = `postgres://client@127.0.0.1:${port}/${database}`;
  }

  /** Starts it in front of the database that a URL names. */
  static async start(
    targetUrl: string,
    mode: PoolMode,
    { database = "app" }: { readonly database?: string } = {},
  ): Promise<PgBouncer> {
    const folder = await Deno.makeTempDir({ prefix: "psr-pgbouncer-" });
    await Deno.chmod(folder, 0o777);
    const port = freePort();
    await writeConfiguration({ folder, port, mode, database, targetUrl });
    const isRoot = Deno.uid() === 0;
    const child = new Deno.Command(program, {
      args: [...(isRoot ? ["-u", "nobody"] : []), "-q", `${folder}/pgbouncer.ini`],
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    const started = new PgBouncer({ folder, port, mode, database, child });
    await poll(
      () => started.admin("SHOW VERSION").then(() => true, () => undefined),
      { intervalMs: 20, timeoutMs: 10_000 },
    );
    return started;
  }

  /** Runs a command of the admin console; throws if it takes longer than that. */
  async admin(
    command: string,
    { timeoutMs = 60_000 }: { readonly timeoutMs?: number } = {},
  ): Promise<void> {
    const sql = postgres(`postgres://admin@127.0.0.1:${this.#port}/pgbouncer`, {
      max: 1,
      fetch_types: false,
      onnotice: () => {},
    });
    const { promise: late, reject } = Promise.withResolvers<never>();
    const timer = setTimeout(() => reject(new Error(`${command} did not end`)), timeoutMs);
    const work = sql.unsafe(command).simple().then(() => {});
    work.catch(() => {}); // rejected later, if it is abandoned
    try {
      await Promise.race([work, late]);
    } finally {
      clearTimeout(timer);
      await sql.end({ timeout: 0 });
    }
  }

  /** Lets it be another database of a server from now on. */
  async moveTo(targetUrl: string): Promise<void> {
    await writeConfiguration({
      folder: this.#folder,
      port: this.#port,
      mode: this.#mode,
      database: this.#database,
      targetUrl,
    });
    await this.admin("RELOAD");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGTERM");
    await this.#child.status;
    await Deno.remove(this.#folder, { recursive: true });
  }
}

async function writeConfiguration(
  { folder, port, mode, database, targetUrl }: {
    readonly folder: string;
    readonly port: number;
    readonly mode: PoolMode;
    readonly database: string;
    readonly targetUrl: string;
  },
): Promise<void> {
  const { hostname, port: targetPort, pathname, username, password } = new URL(targetUrl);
  const words = [
    `host=${hostname}`,
    `port=${targetPort}`,
    `dbname=${pathname.slice(1)}`,
    `user=${username}`,
    ...(password === "" ? [] : [`password=${decodeURIComponent(password)}`]),
  ];
  await Deno.writeTextFile(`${folder}/users.txt`, '"client" ""\n"admin" ""\n');
  await Deno.writeTextFile(
    `${folder}/pgbouncer.ini`,
    `[databases]
${database} = ${words.join(" ")}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = trust
auth_file = ${folder}/users.txt
admin_users = admin
pool_mode = ${mode}
default_pool_size = 20
query_wait_timeout = 60
server_tls_sslmode = prefer
ignore_startup_parameters = extra_float_digits
`,
  );
  await Deno.chmod(`${folder}/users.txt`, 0o644);
  await Deno.chmod(`${folder}/pgbouncer.ini`, 0o644);
}
