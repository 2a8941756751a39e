/**
 * Resource usage of processes, from `/proc`.
 *
 * @module
 */

/** Clock ticks per second, which Linux always reports in hundredths. */
const ticksPerSecond = 100;

/** A process and its running descendants. */
export function treeOf(pid: number): readonly number[] {
  const found: number[] = [];
  const left = [pid];
  for (let next = left.pop(); next !== undefined; next = left.pop()) {
    found.push(next);
    try {
      // a child is listed under the thread that started it
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

/** CPU seconds of a process, its children and their exited descendants. */
export function cpuSecondsOfTree(pid: number): number {
  let ticks = 0;
  for (const each of treeOf(pid)) {
    try {
      const stat = Deno.readTextFileSync(`/proc/${each}/stat`);
      // the name, in parentheses, may contain anything; utime, stime, cutime, cstime are fields 14
      // to 17
      const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      ticks += fields.slice(11, 15).map(Number).reduce((sum, field) => sum + field, 0);
    } catch {
      // it has exited, and its time counts for its parent
    }
  }
  return ticks / ticksPerSecond;
}

/** CPU seconds used by the whole machine, including stolen time. */
export function cpuSecondsOfMachine(): number {
  const [line = ""] = Deno.readTextFileSync("/proc/stat").split("\n", 1);
  const [user = 0, nice = 0, system = 0, , , interrupts = 0, soft = 0, steal = 0] = line
    .split(/\s+/).slice(1).map(Number);
  return (user + nice + system + interrupts + soft + steal) / ticksPerSecond;
}

/**
 * The sum of the peak resident memory of running processes, in bytes. Excludes processes that still
 * share their parent's memory after vfork.
 */
export function peakBytesOf(pids: readonly number[]): number {
  const memories = new Map(pids.map((pid) => [pid, memoryOf(pid)]));
  let bytes = 0;
  for (const memory of memories.values()) {
    const parent = memories.get(memory?.parent ?? 0);
    if (memory !== undefined && memory.sizes !== parent?.sizes) bytes += memory.peakBytes;
  }
  return bytes;
}

function memoryOf(pid: number) {
  try {
    const status = Deno.readTextFileSync(`/proc/${pid}/status`);
    const field = (name: string) =>
      Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(status)?.[1] ?? 0);
    return {
      parent: field("PPid"),
      peakBytes: field("VmHWM") * 1024,
      sizes: `${field("VmSize")} ${field("VmHWM")} ${field("VmRSS")}`,
    };
  } catch {
    return undefined;
  }
}
