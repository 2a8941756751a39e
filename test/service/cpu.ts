/** Clock ticks per second in `/proc`, always 100 on Linux. */
const ticks = 100;

/**
 * CPU seconds of a process, its children and their exited descendants; 0 if `/proc` does not have
 * it.
 */
export async function cpuSeconds(pid: number): Promise<number> {
  const stat = await Deno.readTextFile(`/proc/${pid}/stat`).catch(() => undefined);
  if (stat === undefined) return 0;
  // the name may contain spaces; after it: state, ppid, …; fields 14 to 17 of proc(5)
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const own = fields.slice(11, 15).reduce((sum, each) => sum + Number(each), 0) / ticks;
  const children = await Deno.readTextFile(`/proc/${pid}/task/${pid}/children`).catch(() => "");
  const theirs = await Promise.all(
    children.split(" ").filter((each) => each !== "").map((each) => cpuSeconds(Number(each))),
  );
  return theirs.reduce((sum, each) => sum + each, own);
}

/** The server process of a data directory. */
export async function postmasterOf(dataDirectory: string): Promise<number> {
  return Number((await Deno.readTextFile(`${dataDirectory}/postmaster.pid`)).split("\n")[0]);
}
