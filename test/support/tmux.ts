import { denoEnvironment, runProgram } from "./cli.ts";

/** Whether tmux is installed. */
export const hasTmux: boolean = await runProgram("tmux", ["-V"], { env: denoEnvironment() })
  .then(({ code }) => code === 0, () => false);

/**
 * A program in its own terminal. States: running → ended; disposing closes the terminal.
 */
export class TerminalProgram implements AsyncDisposable {
  readonly #socket: string;

  private constructor(socket: string) {
    this.#socket = socket;
  }

  /** Starts a program; when it ends, the terminal shows `exit code 0`. */
  static async start(
    command: readonly string[],
    env: Readonly<Record<string, string>> = {},
  ): Promise<TerminalProgram> {
    const program = new TerminalProgram(`psr-${crypto.randomUUID()}`);
    const words = [
      "env",
      ...Object.entries({ ...env, TERM: "screen-256color" }).map(([name, value]) =>
        `${name}=${value}`
      ),
      ...command,
    ].map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(" ");
    await program.#tmux(
      "new-session",
      "-d",
      "-x",
      "110",
      "-y",
      "50",
      // Ctrl-C is meant for the program but would also end the shell
      `trap : INT; ${words}; echo "exit code $?"; read -r _`,
    );
    return program;
  }

  /** Types literal text. */
  async type(text: string): Promise<void> {
    await this.#tmux("send-keys", "-l", text);
  }

  /** Presses keys by tmux's names: `Enter`, `Escape`, `C-c`, `Tab`. */
  async press(...keys: readonly string[]): Promise<void> {
    for (const key of keys) await this.#tmux("send-keys", key);
  }

  /** Resizes the terminal. */
  async resize(columns: number, rows: number): Promise<void> {
    await this.#tmux("resize-window", "-x", String(columns), "-y", String(rows));
  }

  /** The visible screen, without scrollback. */
  async visible(): Promise<string> {
    return await this.#tmux("capture-pane", "-p");
  }

  /** The screen including scrollback. */
  async screen(): Promise<string> {
    return await this.#tmux("capture-pane", "-p", "-S", "-500");
  }

  /** Waits until the screen matches. */
  async shows(pattern: RegExp): Promise<string> {
    const end = performance.now() + 30_000;
    for (;;) {
      const screen = await this.screen();
      if (pattern.test(screen)) return screen;
      if (performance.now() > end) throw new Error(`not shown: ${pattern}\n${screen}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  async #tmux(...args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await runProgram("tmux", ["-L", this.#socket, ...args], {
      env: { ...denoEnvironment(), SHELL: "/bin/sh" },
    });
    if (code !== 0) throw new Error(`tmux ${args[0]}: ${stderr}`);
    return stdout;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // a separate tmux server, so that no other session ends with it
    await this.#tmux("kill-server").catch(() => {});
  }
}
