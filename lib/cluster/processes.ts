import { runProgram } from "./run_program.ts";

/** A process of this machine, as far as we need to know it. */
interface Process {
  readonly pid: number;
  readonly parent: number;
}

/** The processes that a process has started and that still run. Requires read access to `/proc`, or `--allow-run=ps`. */
export async function childrenOf(pid: number): Promise<number[]> {
  return (await runningProcesses()).filter((each) => each.parent === pid).map((each) => each.pid);
}

/** Waits until none of the processes runs any more; `false` when some still do after `timeoutMs`. */
export async function waitUntilGone(pids: readonly number[], timeoutMs: number): Promise<boolean> {
  const deadline = Date.now() + timeoutMs;
  while (true) {
    const running = new Set((await runningProcesses()).map((each) => each.pid));
    if (!pids.some((pid) => running.has(pid))) return true;
    if (Date.now() > deadline) return false;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Sends a signal; a process that is already gone is no error. */
export function signalProcess(pid: number, signal: Deno.Signal): void {
  try {
    Deno.kill(pid, signal);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound) && !(error instanceof TypeError)) throw error;
  }
}

/** All processes but the dead ones that nobody has buried yet. */
async function runningProcesses(): Promise<Process[]> {
  if (Deno.build.os !== "linux") return await psProcesses();
  const found: Process[] = [];
  for await (const entry of Deno.readDir("/proc")) {
    if (!/^\d+$/.test(entry.name)) continue;
    const stat = await Deno.readTextFile(`/proc/${entry.name}/stat`).catch(() => "");
    // "pid (name) state ppid …"; the name may hold spaces and parentheses.
    const [state, parent] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    if (parent && state !== "Z") found.push({ pid: Number(entry.name), parent: Number(parent) });
  }
  return found;
}

async function psProcesses(): Promise<Process[]> {
  const lines = (await runProgram(["ps", "-A", "-o", "pid=,ppid=,state="])).trim().split("\n");
  return lines.map((line) => line.trim().split(/\s+/))
    .filter(([, , state]) => !state?.startsWith("Z"))
    .map(([pid, parent]) => ({ pid: Number(pid), parent: Number(parent) }));
}
