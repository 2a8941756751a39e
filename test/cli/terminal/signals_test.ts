/**
 * Ctrl-C sent to a real process: once, twice within milliseconds as `deno task` forwards it, and
 * again later.
 */
import { deepStrictEqual } from "node:assert/strict";
import { TextLineStream } from "../../faults/lines.ts";

const program = new URL("../../support/signals_program.ts", import.meta.url).pathname;

/**
 * Starts the program. Returns its output so far, and functions that write to its stdin and wait for
 * output.
 */
async function start(clock: "real" | "given") {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", "--quiet", "-A", program, clock],
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const lines = child.stdout.pipeThrough(new TextLineStream())[Symbol.asyncIterator]();
  const writer = child.stdin.getWriter();
  const said: string[] = [];
  const wait = async (wanted: string) => {
    for (let line = await lines.next(); !line.done; line = await lines.next()) {
      said.push(line.value);
      if (line.value === wanted) return;
    }
    throw new Error(`ended before "${wanted}": ${said.join(", ")}`);
  };
  await wait("ready");
  return {
    child,
    said,
    wait,
    write: (line: string) => writer.write(new TextEncoder().encode(`${line}\n`)),
    async ended() {
      for (let line = await lines.next(); !line.done; line = await lines.next()) {
        said.push(line.value);
      }
      await writer.close().catch(() => {}); // the process may have exited
      return (await child.status).code;
    },
  };
}

for (const apart of [1, 3, 5]) {
  Deno.test(`two SIGINTs ${apart} ms apart count as one: the work ends cleanly`, async () => {
    const { child, said, wait, write, ended } = await start("real");
    child.kill("SIGINT");
    await wait("handled"); // two pending signals would be merged into one
    await new Promise((resolve) => setTimeout(resolve, apart));
    child.kill("SIGINT");
    await wait("handled");
    await write("end");
    const code = await ended();
    deepStrictEqual([code, said.filter((line) => line !== "handled")], [7, [
      "ready",
      "first",
      "cleanly, true",
    ]]);
  });
}

Deno.test("SIGINTs within a second of the first are ignored, a later one ends the process immediately", async () => {
  const { child, said, wait, write, ended } = await start("given");
  child.kill("SIGINT");
  await wait("handled");
  await write("999");
  await wait("time 999");
  child.kill("SIGINT");
  await wait("handled");
  await write("1001");
  await wait("time 1001");
  child.kill("SIGINT");
  deepStrictEqual([await ended(), said.slice(-1)], [130, ["at once"]]);
});
