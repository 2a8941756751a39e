import { join } from "node:path";
import { childrenOf, signalProcess, waitUntilGone } from "./processes.ts";
import { isReady } from "./readiness.ts";
import { runProgram, serverEnv } from "./run_program.ts";
import { serverUser } from "./server_user.ts";

/** Time limit for starting or stopping a server. */
const TIMEOUT_MS = 120_000;

/** Options of {@linkcode Postmaster}. */
export interface PostmasterOptions {
  readonly postgres: string;
  readonly dataDir: string;
  readonly socketDir: string;
  readonly logFile: string;
  readonly port: number;
}

/**
 * One run of a server. States: running → ended. It cannot be restarted; create another.
 */
export class Postmaster {
  readonly pid: number;
  readonly #child: Deno.ChildProcess;
  readonly #options: PostmasterOptions;
  #ended = false;

  constructor(options: PostmasterOptions) {
    this.#options = options;
    // the shell opens the log, then execs the server: the pid is the same, and no pipe needs
    // reading
    this.#child = new Deno.Command("sh", {
      args: [
        ...["-c", 'log=$1; shift; exec "$@" >>"$log" 2>&1', "sh", options.logFile],
        ...[options.postgres, "-D", options.dataDir, "-p", String(options.port)],
      ],
      cwd: "/",
      clearEnv: true,
      env: serverEnv(),
      stdin: "null",
      stdout: "null",
      stderr: "null",
      detached: true,
      ...serverUser(),
    }).spawn();
    this.pid = this.#child.pid;
    this.#child.status.then(() => this.#ended = true);
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** Waits until the server accepts connections; returns `false` if it exits instead. */
  async ready(signal?: AbortSignal): Promise<boolean> {
    const socket = join(this.#options.socketDir, `.s.PGSQL.${this.#options.port}`);
    const deadline = Date.now() + TIMEOUT_MS;
    while (!this.#ended) {
      signal?.throwIfAborted();
      if (await isReady(socket)) return true;
      if (Date.now() > deadline) throw new Error(`server ${this.pid} did not start within 120 s`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    return false;
  }

  /**
   * Stops the server: `fast` disconnects sessions, `immediate` requires recovery at the next start.
   */
  async stop(mode: "fast" | "immediate"): Promise<void> {
    if (this.#ended) return;
    signalProcess(this.pid, mode === "fast" ? "SIGINT" : "SIGQUIT");
    // a test may have suspended it, in which case it would not react
    signalProcess(this.pid, "SIGCONT");
    const timer = setTimeout(() => this.kill("SIGKILL"), TIMEOUT_MS);
    await this.#child.status;
    clearTimeout(timer);
  }

  /**
   * Sends a signal. SIGKILL also kills all child processes and waits until they have exited.
   */
  async kill(signal: Deno.Signal): Promise<void> {
    if (this.#ended) return;
    if (signal !== "SIGKILL") {
      signalProcess(this.pid, signal);
      return;
    }
    // suspended first, it cannot start further children
    signalProcess(this.pid, "SIGSTOP");
    const children = await childrenOf(this.pid);
    const sharedMemory = await this.#sharedMemoryId();
    signalProcess(this.pid, "SIGKILL");
    for (const child of children) signalProcess(child, "SIGKILL");
    await this.#child.status;
    if (!await waitUntilGone(children, TIMEOUT_MS)) {
      throw new Error(`child processes of server ${this.pid} survived SIGKILL`);
    }
    if (sharedMemory) await runProgram(["ipcrm", "-m", sharedMemory]).catch(() => {});
  }

  /**
   * The System V shared memory segment that guards the data directory; a killed server leaves it
   * behind.
   */
  async #sharedMemoryId(): Promise<string | undefined> {
    const pidFile = join(this.#options.dataDir, "postmaster.pid");
    const lines = (await Deno.readTextFile(pidFile).catch(() => "")).split("\n");
    return lines[6]?.trim().split(/\s+/)[1];
  }
}
