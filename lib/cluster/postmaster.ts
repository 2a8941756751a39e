import { join } from "node:path";
import { childrenOf, signalProcess, waitUntilGone } from "./processes.ts";
import { isReady } from "./readiness.ts";
import { runProgram, serverEnv } from "./run_program.ts";
import { serverUser } from "./server_user.ts";

/** How long a server may take to start or to stop. */
const PATIENCE_MS = 120_000;

/** What it takes to start a postmaster. */
export interface PostmasterOptions {
  readonly postgres: string;
  readonly dataDir: string;
  readonly socketDir: string;
  readonly logFile: string;
  readonly port: number;
}

/**
 * One run of a server, from its start to its end: running → ended. It cannot be started again; make
 * another.
 */
export class Postmaster {
  readonly pid: number;
  readonly #child: Deno.ChildProcess;
  readonly #options: PostmasterOptions;
  #ended = false;

  constructor(options: PostmasterOptions) {
    this.#options = options;
    // The shell opens the log and becomes the server: same pid, and no pipe that would have to be
    // read.
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

  /** Waits until the server takes sessions; `false` when it ended instead. */
  async ready(signal?: AbortSignal): Promise<boolean> {
    const socket = join(this.#options.socketDir, `.s.PGSQL.${this.#options.port}`);
    const deadline = Date.now() + PATIENCE_MS;
    while (!this.#ended) {
      signal?.throwIfAborted();
      if (await isReady(socket)) return true;
      if (Date.now() > deadline) throw new Error(`Server ${this.pid} did not start in 120 s`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    return false;
  }

  /**
   * Ends the server: `fast` ends its sessions, `immediate` leaves crash recovery to the next start.
   */
  async stop(mode: "fast" | "immediate"): Promise<void> {
    if (this.#ended) return;
    signalProcess(this.pid, mode === "fast" ? "SIGINT" : "SIGQUIT");
    // A test may have left it stopped, and then it would hear nothing.
    signalProcess(this.pid, "SIGCONT");
    const timer = setTimeout(() => this.kill("SIGKILL"), PATIENCE_MS);
    await this.#child.status;
    clearTimeout(timer);
  }

  /**
   * Sends a signal; with SIGKILL also ends all the server's children and waits until they are gone.
   */
  async kill(signal: Deno.Signal): Promise<void> {
    if (this.#ended) return;
    if (signal !== "SIGKILL") {
      signalProcess(this.pid, signal);
      return;
    }
    // Stopped first, it can start no child that we would not see.
    signalProcess(this.pid, "SIGSTOP");
    const children = await childrenOf(this.pid);
    const sharedMemory = await this.#sharedMemoryId();
    signalProcess(this.pid, "SIGKILL");
    for (const child of children) signalProcess(child, "SIGKILL");
    await this.#child.status;
    if (!await waitUntilGone(children, PATIENCE_MS)) {
      throw new Error(`Children of server ${this.pid} survived SIGKILL`);
    }
    if (sharedMemory) await runProgram(["ipcrm", "-m", sharedMemory]).catch(() => {});
  }

  /**
   * The System V segment by which a server guards its data directory; a killed server leaves it in
   * the system's table.
   */
  async #sharedMemoryId(): Promise<string | undefined> {
    const pidFile = join(this.#options.dataDir, "postmaster.pid");
    const lines = (await Deno.readTextFile(pidFile).catch(() => "")).split("\n");
    return lines[6]?.trim().split(/\s+/)[1];
  }
}
