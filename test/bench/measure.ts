/**
 * Runs a tool and measures its use of resources.
 *
 * @module
 */
import { join } from "node:path";
import type { FirstRow } from "./first_row.ts";
import { cpuSecondsOfMachine, cpuSecondsOfTree, peakBytesOf, treeOf } from "./processes.ts";

/** The measurements of one run. */
export interface Measurement {
  readonly seconds: number;
  /** Until the target had received rows; undefined if that was not seen. */
  readonly firstRowSeconds?: number;
  /** CPU time of all processes of the tool. */
  readonly clientCpu: number;
  readonly sourceCpu: number;
  readonly targetCpu: number;
  /** CPU time of everything else on the machine, which is noise. */
  readonly otherCpu: number;
  /** The peak memory of each process, summed over concurrent processes. */
  readonly peakBytes: number;
}

/** What to run and observe. */
export interface MeasureOptions {
  /** A script for `sh`. */
  readonly script: string;
  readonly environment: Readonly<Record<string, string>>;
  /** The run's working folder. */
  readonly scratch: string;
  /** Process IDs of both postmasters. */
  readonly servers: { readonly source: number; readonly target: number };
  /** The time limit. */
  readonly patienceSeconds: number;
  /** Sees the first rows; undefined if nothing is copied. */
  readonly firstRow?: FirstRow;
}

/** A tool failed; contains the end of its output. */
export class ToolFailed extends Error {
  override readonly name = "ToolFailed";
}

/** A tool exceeded the time limit. */
export class GaveUp extends Error {
  override readonly name = "GaveUp";
  /** The time limit it exceeded. */
  readonly seconds: number;

  constructor(seconds: number) {
    super(`gave up after ${seconds} s`);
    this.seconds = seconds;
  }
}

const sampleEveryMs = 25;

/**
 * Runs a script.
 *
 * @returns the measurements and the output
 * @throws ToolFailed, GaveUp
 */
export async function measure(
  { script, environment, scratch, servers, patienceSeconds, firstRow }: MeasureOptions,
): Promise<{ readonly measured: Measurement; readonly output: string }> {
  const log = join(scratch, "output");
  const timesFile = join(scratch, "times");
  const before = counters(servers);
  const start = performance.now();
  firstRow?.begin();
  const child = new Deno.Command("sh", {
    // `times` reports the usage of all exited children, including pipelines and grandchildren
    args: [
      "-c",
      `{ ${script}\n} >"$0" 2>&1 </dev/null; code=$?; times >"$1"; exit $code`,
      log,
      timesFile,
    ],
    cwd: scratch,
    clearEnv: true,
    env: { ...environment },
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  let peakBytes = 0;
  const sampler = setInterval(() => {
    const [, ...tool] = treeOf(child.pid); // without the shell
    peakBytes = Math.max(peakBytes, peakBytesOf(tool));
  }, sampleEveryMs);
  let impatient = false;
  const patience = setTimeout(() => {
    impatient = true;
    endTree(child.pid);
  }, patienceSeconds * 1000);
  const { code } = await child.status;
  clearTimeout(patience);
  const seconds = (performance.now() - start) / 1000;
  clearInterval(sampler);
  const firstRowSeconds = await firstRow?.end();
  const after = counters(servers);
  const output = await Deno.readTextFile(log);
  if (impatient) throw new GaveUp(patienceSeconds);
  if (code !== 0) throw new ToolFailed(`exit code ${code}\n${output.slice(-3000)}`);
  const clientCpu = childSeconds(await Deno.readTextFile(timesFile));
  const sourceCpu = after.source - before.source;
  const targetCpu = after.target - before.target;
  const otherCpu = Math.max(0, after.machine - before.machine - clientCpu - sourceCpu - targetCpu);
  return {
    measured: {
      seconds,
      ...(firstRowSeconds === undefined ? {} : { firstRowSeconds }),
      clientCpu,
      sourceCpu,
      targetCpu,
      otherCpu,
      peakBytes,
    },
    output,
  };
}

/** Kills a tool and all its descendants, which are listed before the first one exits. */
function endTree(pid: number): void {
  for (const each of treeOf(pid)) {
    try {
      Deno.kill(each, "SIGKILL");
    } catch {
      // it has ended
    }
  }
}

function counters({ source, target }: MeasureOptions["servers"]) {
  return {
    source: cpuSecondsOfTree(source),
    target: cpuSecondsOfTree(target),
    machine: cpuSecondsOfMachine(),
  };
}

/** The second line of `times`: user and system time of children, `0m1.500s 0m0.250s`. */
function childSeconds(times: string): number {
  const [, children = ""] = times.split("\n");
  return [...children.matchAll(/(\d+)m([\d.]+)s/g)]
    .reduce((sum, [, minutes, seconds]) => sum + 60 * Number(minutes) + Number(seconds), 0);
}

/** An argument as `sh` reads it. */
export function shellQuote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/** A command line for `sh`. */
export function commandLine(words: readonly string[]): string {
  return words.map(shellQuote).join(" ");
}
