import { runProgram } from "./run_program.ts";

/** A process of this machine, as far as we need to know it. */
interface Process {
  readonly pid: number;
  readonly parent: number;
}

/** The processes that a process has started and that still run. Requires `--allow-run`. */
export async function childrenOf(pid: number): Promise<number[]> {
  return (await runningProcesses()).filter((each) => each.parent === pid).map((each) => each.pid);
}

/**
 * Waits until none of the processes runs any more; `false` when some still do after `timeoutMs`.
 */
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
  // By way of a shell, for Deno itself reads /proc with --allow-all only; and ps is not everywhere.
  const script = "cat /proc/[0-9]*/stat 2>/dev/null; true";
  const lines = (await runProgram(["sh", "-c", script])).trim().split("\n");
  return lines.flatMap((line) => {
    // "pid (name) state ppid …"; the name may hold spaces and parentheses.
    const [state, parent] = line.slice(line.lastIndexOf(")") + 2).split(" ");
    return parent && state !== "Z" ? [{ pid: parseInt(line), parent: Number(parent) }] : [];
  });
}

async function psProcesses(): Promise<Process[]> {
  const lines = (await runProgram(["ps", "-A", "-o", "pid=,ppid=,state="])).trim().split("\n");
  return lines.map((line) => line.trim().split(/\s+/))
    .filter(([, , state]) => !state?.startsWith("Z"))
    .map(([pid, parent]) => ({ pid: Number(pid), parent: Number(parent) }));
}
