/**
 * What processes have used, from `/proc`.
 *
 * @module
 */

/** Jiffies of a second: Linux gives them to programs as hundredths on every architecture. */
const ticksPerSecond = 100;

/** A process and everything that descends from it, as far as it is still there. */
export function treeOf(pid: number): readonly number[] {
  const found: number[] = [];
  const left = [pid];
  for (let next = left.pop(); next !== undefined; next = left.pop()) {
    found.push(next);
    try {
      // a child belongs to the thread that has started it
      for (const { name } of Deno.readDirSync(`/proc/${next}/task`)) {
        const children = Deno.readTextFileSync(`/proc/${next}/task/${name}/children`);
        left.push(...children.split(" ").filter((text) => text !== "").map(Number));
      }
    } catch {
      // it has ended
    }
  }
  return found;
}

/** CPU seconds of a process, of its children, and of all that has ended under them. */
export function cpuSecondsOfTree(pid: number): number {
  let ticks = 0;
  for (const each of treeOf(pid)) {
    try {
      const stat = Deno.readTextFileSync(`/proc/${each}/stat`);
      // the name, in parentheses, may contain anything; utime, stime, cutime, cstime are fields 14 to 17
      const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      ticks += fields.slice(11, 15).map(Number).reduce((sum, field) => sum + field, 0);
    } catch {
      // it has ended, and its time is its parent's
    }
  }
  return ticks / ticksPerSecond;
}

/** CPU seconds that the whole machine has spent on anything, stolen time included. */
export function cpuSecondsOfMachine(): number {
  const [line = ""] = Deno.readTextFileSync("/proc/stat").split("\n", 1);
  const [user = 0, nice = 0, system = 0, , , interrupts = 0, soft = 0, steal = 0] = line
    .split(/\s+/).slice(1).map(Number);
  return (user + nice + system + interrupts + soft + steal) / ticksPerSecond;
}

/** The most memory that a process has had in RAM so far, in bytes; 0 when it has ended. */
export function peakBytesOf(pid: number): number {
  try {
    const status = Deno.readTextFileSync(`/proc/${pid}/status`);
    return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1024;
  } catch {
    return 0;
  }
}
