import { cliCommand, denoEnvironment } from "../support/cli.ts";
import { cpuSeconds } from "./cpu.ts";

/** A long-running command that is restarted when it ends, as by a supervisor. */
export class Supervised implements AsyncDisposable {
  readonly name: string;
  /** How often the test killed it; `deaths`: how often it exited on its own. */
  kills = 0;
  deaths = 0;
  /** The peak memory of any of its processes, in bytes. */
  maxBytes = 0;
  readonly #args: readonly string[];
  readonly #env: Readonly<Record<string, string>>;
  readonly #logFile: string;
  #process: Deno.ChildProcess | undefined;
  #running: Promise<void>;
  #ended = false;
  #cpuBefore = 0;
  #cpuNow = 0;

  constructor(
    name: string,
    { args, env, logFile }: {
      readonly args: readonly string[];
      readonly env: Readonly<Record<string, string>>;
      readonly logFile: string;
    },
  ) {
    this.name = name;
    this.#args = args;
    this.#env = env;
    this.#logFile = logFile;
    this.#running = this.#run();
  }

  /** CPU seconds of all its processes, as of the last measurement. */
  get cpuSeconds(): number {
    return this.#cpuBefore + this.#cpuNow;
  }

  async #run(): Promise<void> {
    while (!this.#ended) {
      using log = await Deno.open(this.#logFile, { append: true, create: true });
      const command = cliCommand.map((arg) => arg === "-P=cli" ? `-P=${this.#args[0]}` : arg);
      const killsBefore = this.kills;
      this.#process = new Deno.Command(Deno.execPath(), {
        args: [...command, ...this.#args],
        clearEnv: true,
        env: { ...denoEnvironment(), ...this.#env },
        stdin: "null",
        stdout: "null",
        stderr: "piped",
      }).spawn();
      for await (const chunk of this.#process.stderr) await log.write(chunk);
      const { code } = await this.#process.status;
      this.#cpuBefore += this.#cpuNow;
      this.#cpuNow = 0;
      if (this.#ended || this.kills > killsBefore) continue;
      this.deaths++;
      await log.write(new TextEncoder().encode(`=== exited with ${code}\n`));
      await new Promise((resolve) => setTimeout(resolve, 1_000)); // like a supervisor
    }
  }

  /** Kills it with SIGKILL; it is restarted. */
  kill(): void {
    this.kills++;
    signal(this.#process, "SIGKILL");
  }

  /** Measures its current memory, and the CPU time used so far. */
  async measure(): Promise<void> {
    const pid = this.#process?.pid ?? 0;
    const text = await Deno.readTextFile(`/proc/${pid}/status`).catch(() => "");
    const bytes = Number(/VmRSS:\s+(\d+) kB/.exec(text)?.[1] ?? 0) * 1024;
    this.maxBytes = Math.max(this.maxBytes, bytes);
    this.#cpuNow = Math.max(this.#cpuNow, await cpuSeconds(pid));
  }

  /** Ends it with SIGTERM, and waits for it. */
  async drain(): Promise<void> {
    await this.measure();
    this.#ended = true;
    signal(this.#process, "SIGTERM");
    await this.#running;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended = true;
    signal(this.#process, "SIGKILL");
    await this.#running;
  }
}

function signal(process: Deno.ChildProcess | undefined, name: Deno.Signal): void {
  try {
    process?.kill(name);
  } catch {
    // it has already exited
  }
}
