// not internal.ts: a starter has no dependencies
import { poll } from "../core/poll.ts";
import { runProgram } from "./run_program.ts";

/** A running process. */
interface Process {
  readonly pid: number;
  readonly parent: number;
}

/** The running child processes of a process. Requires `--allow-run`. */
export async function childrenOf(pid: number): Promise<number[]> {
  return (await runningProcesses()).filter((each) => each.parent === pid).map((each) => each.pid);
}

/**
 * Waits until all processes have exited; returns `false` if some still run after `timeoutMs`.
 */
export async function waitUntilGone(pids: readonly number[], timeoutMs: number): Promise<boolean> {
  const gone = await poll(async () => {
    const running = new Set((await runningProcesses()).map((each) => each.pid));
    return pids.some((pid) => running.has(pid)) ? undefined : true;
  }, { intervalMs: 10, timeoutMs });
  return gone ?? false;
}

/** Sends a signal; ignores processes that no longer exist. */
export function signalProcess(pid: number, signal: Deno.Signal): void {
  try {
    Deno.kill(pid, signal);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound) && !(error instanceof TypeError)) throw error;
  }
}

/** All processes except zombies. */
async function runningProcesses(): Promise<Process[]> {
  if (Deno.build.os !== "linux") return await psProcesses();
  // through a shell, since Deno reads /proc only with --allow-all, and ps is not always installed
  const script = "cat /proc/[0-9]*/stat 2>/dev/null; true";
  const lines = (await runProgram(["sh", "-c", script])).trim().split("\n");
  return lines.flatMap((line) => {
    // "pid (name) state ppid …"; the name may contain spaces and parentheses
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
