/**
 * Reads one server pid per line and exits on `done`. If its input ends without that word, the
 * parent was killed; it then stops the server and removes the given folders.
 */
const SCRIPT = `
trap '' INT TERM HUP QUIT
pid=
while read -r line; do
  case "$line" in done) exit 0 ;; *) pid=$line ;; esac
done
if [ -n "$pid" ] && kill -QUIT "$pid" 2>/dev/null; then
  kill -CONT "$pid"
  tries=0
  while kill -0 "$pid" 2>/dev/null && [ "$tries" -lt 100 ]; do sleep 0.1; tries=$((tries + 1)); done
  kill -KILL "$pid" 2>/dev/null
fi
rm -rf "$@"
`;

/**
 * A shell that outlives this process. If this process dies, even by SIGKILL, the pipe to the shell
 * closes, and it stops the server and removes its folders. Dispose of it after a regular shutdown.
 *
 * Requires `--allow-run=sh`.
 */
export class Watchdog implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;

  constructor(folders: readonly string[]) {
    this.#child = new Deno.Command("sh", {
      args: ["-c", SCRIPT, "watchdog", ...folders],
      cwd: "/",
      stdin: "piped",
      stdout: "null",
      stderr: "null",
      // a separate session, so that Ctrl-C in the terminal does not reach it
      detached: true,
    }).spawn();
    this.#input = this.#child.stdin.getWriter();
  }

  /** Sets the server to stop. */
  async watch(pid: number): Promise<void> {
    await this.#write(`${pid}\n`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#write("done\n").catch(() => {});
    await this.#input.close().catch(() => {});
    await this.#child.status;
  }

  async #write(text: string): Promise<void> {
    await this.#input.write(new TextEncoder().encode(text));
  }
}
