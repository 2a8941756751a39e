/**
 * Reads one server pid per line. `done` ends it in peace; when its input ends without that word,
 * whoever started it was killed, and it ends the server and removes the folders that it was given.
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
 * A small shell that outlives us: when this process dies in any way (SIGKILL included) the pipe to
 * it closes, and it ends the server and removes its folders. Dispose of it after the server was
 * ended in the ordinary way.
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
      // A session of its own: Ctrl-C in the terminal is ours to handle.
      detached: true,
    }).spawn();
    this.#input = this.#child.stdin.getWriter();
  }

  /** Says which server to end. */
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
