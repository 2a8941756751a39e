import { cliCommand, denoEnvironment } from "./cli.ts";

/** `serve` or `worker` in a separate process, with its output. */
export class Running implements AsyncDisposable {
  readonly #process: Deno.ChildProcess;
  readonly #texts: Promise<void>[];
  readonly #waiters: {
    readonly pattern: RegExp;
    readonly resolve: (match: RegExpExecArray) => void;
  }[] = [];
  output = "";

  /**
   * @param through a command prefix: `ip netns exec …`
   * @param executable an executable instead of the command line from source
   * @param permissions a set of `deno.json`; default: that of the command
   */
  constructor(
    args: readonly string[],
    env: Readonly<Record<string, string>>,
    { through = [], executable, permissions = args[0] }: {
      readonly through?: readonly string[];
      readonly executable?: string;
      readonly permissions?: string | undefined;
    } = {},
  ) {
    // with the documented permissions of the command
    const command = cliCommand.map((arg) => arg === "-P=cli" ? `-P=${permissions}` : arg);
    const own = executable === undefined ? [Deno.execPath(), ...command] : [executable];
    const [program = "", ...rest] = [...through, ...own, ...args];
    this.#process = new Deno.Command(program, {
      args: rest,
      clearEnv: true,
      env: executable === undefined ? { ...denoEnvironment(), ...env } : env,
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#texts = [this.#process.stdout, this.#process.stderr].map(async (stream) => {
      for await (const text of stream.pipeThrough(new TextDecoderStream())) {
        this.output += text;
        for (const { pattern, resolve } of this.#waiters) {
          const found = pattern.exec(this.output);
          if (found !== null) resolve(found);
        }
      }
    });
  }

  /** Resolves when the output matches. */
  async says(pattern: RegExp): Promise<RegExpExecArray> {
    const found = pattern.exec(this.output);
    if (found !== null) return found;
    const { promise, resolve } = Promise.withResolvers<RegExpExecArray>();
    this.#waiters.push({ pattern, resolve });
    const ended = this.#process.status.then(() => {
      throw new Error(`exited before its output matched ${pattern}:\n${this.output}`);
    });
    return await Promise.race([promise, ended]);
  }

  /** Its exit code, once it exits by itself. */
  async ended(): Promise<number> {
    const { code } = await this.#process.status;
    await Promise.all(this.#texts);
    return code;
  }

  async kill(signal: Deno.Signal): Promise<number> {
    try {
      this.#process.kill(signal);
    } catch {
      // it has already exited
    }
    return await this.ended();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill("SIGKILL");
  }
}
