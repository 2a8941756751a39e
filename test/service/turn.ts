/**
 * Waits for its turn on a shared machine: before each piece, starts a command such as `flock
 * /tmp/lock cat`, waits until it echoes a line, and ends it after the piece.
 */
export class Turn implements AsyncDisposable {
  readonly #process: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;

  private constructor(process: Deno.ChildProcess) {
    this.#process = process;
    this.#input = process.stdin.getWriter();
  }

  static async take(command: string): Promise<Turn> {
    const turn = new Turn(
      new Deno.Command("sh", { args: ["-c", command], stdin: "piped", stdout: "piped" }).spawn(),
    );
    await turn.#input.write(new TextEncoder().encode("go\n"));
    const { done } = await turn.#process.stdout.getReader().read();
    if (done) throw new Error(`"${command}" ended without its turn`);
    return turn;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#input.close();
    await this.#process.status;
  }
}
