/**
 * A program that handles signals and reports what it notices. On stdin, a number sets the time
 * (with the argument `given`), and `end` means that its work has ended cleanly.
 */
import { createInterface } from "node:readline";
import process from "node:process";
import { listenForSignals } from "../../lib/cli/terminal/signals.ts";

let time = 0;
using signals = listenForSignals({
  onFirst: () => console.log("first"),
  exit: (code) => {
    console.log("at once");
    Deno.exit(code);
  },
  ...(Deno.args[0] === "given" ? { now: () => time } : {}),
});
process.on("SIGINT", () => console.log("handled"));
console.log("ready");
for await (const line of createInterface({ input: process.stdin })) {
  if (line === "end") break;
  time = Number(line);
  console.log(`time ${line}`);
}
console.log(`cleanly, ${signals.signal.aborted}`);
Deno.exit(7);
