/**
 * Ctrl-C on a real process: once, twice within milliseconds as `deno task` passes it on, and again
 * later.
 */
import { deepStrictEqual } from "node:assert/strict";
import { TextLineStream } from "../faults/lines.ts";

const program = new URL("../support/signals_program.ts", import.meta.url).pathname;

/** A process, what it has said, and means to tell it something. */
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
    tell: (line: string) => writer.write(new TextEncoder().encode(`${line}\n`)),
    async ended() {
      for (let line = await lines.next(); !line.done; line = await lines.next()) {
        said.push(line.value);
      }
      await writer.close().catch(() => {}); // nobody reads it any more
      return (await child.status).code;
    },
  };
}

for (const apart of [1, 3, 5]) {
  Deno.test(`two SIGINTs ${apart} ms apart are one press: the work ends cleanly`, async () => {
    const { child, said, wait, tell, ended } = await start("real");
    child.kill("SIGINT");
    await wait("handled"); // two that wait to be handled are one
    await new Promise((resolve) => setTimeout(resolve, apart));
    child.kill("SIGINT");
    await wait("handled");
    await tell("end");
    const code = await ended();
    deepStrictEqual([code, said.filter((line) => line !== "handled")], [7, [
      "ready",
      "first",
      "cleanly, true",
    ]]);
  });
}

Deno.test("what follows the first SIGINT within a second does not count, a later one ends at once", async () => {
  const { child, said, wait, tell, ended } = await start("given");
  child.kill("SIGINT");
  await wait("handled");
  await tell("999");
  await wait("time 999");
  child.kill("SIGINT");
  await wait("handled");
  await tell("1001");
  await wait("time 1001");
  child.kill("SIGINT");
  deepStrictEqual([await ended(), said.slice(-1)], [130, ["at once"]]);
});
