/** Injects one fault after another, using the same two servers. */
import { TextLineStream } from "./lines.ts";
import { type Cluster, startCluster } from "../../lib/cluster/mod.ts";
import { type SmallDisk, smallDisk } from "./small_disk.ts";
import { cliCommand, denoEnvironment } from "../support/cli.ts";
import { dropDatabase } from "../support/databases.ts";
import { type Proxy, startProxy } from "../support/proxy.ts";
import { exec, query } from "../support/sql.ts";
import { factsOf, factsOfLoad, fillStatements, loadStatement, ordersFilter } from "./data.ts";

/** The kinds of faults. */
export const faultKinds = [
  "tool",
  "point",
  "source",
  "target",
  "backend",
  "cut",
  "stall",
  "disk",
  "state",
  "load",
] as const;
/** One of {@linkcode faultKinds}. */
export type FaultKind = typeof faultKinds[number];

/** What to copy, and how. */
export const faultShapes = ["split", "whole", "text", "filter", "several", "old"] as const;
/**
 * One of {@linkcode faultShapes}; `old` is a source of version 12 or 13, whose tables are divided
 * by keys.
 */
export type FaultShape = typeof faultShapes[number];

/** The servers, and the seed of random choices. */
export interface FaultOptions {
  /** The shapes to choose from. Default: all. */
  readonly shapes?: readonly FaultShape[];
  /** The folder for the logs of failed rounds. */
  readonly logs?: string;
  readonly source: Cluster;
  readonly target: Cluster;
  readonly seed: number;
}

/** One round: the fault and the servers. */
interface Round {
  readonly kind: FaultKind;
  readonly shape: FaultShape;
  /** The databases. The first one names the round. */
  readonly names: readonly string[];
  readonly source: Cluster;
  readonly target: Cluster;
  readonly disk: SmallDisk | undefined;
  readonly folder: string;
}

interface Attempt {
  readonly code: number;
  readonly signal: string | null;
  readonly lines: readonly string[];
  /** Whether the fault occurred before the attempt ended. */
  readonly hit: boolean;
}

const maxAttempts = 6;

/** Runs rounds and counts their outcomes. */
export class FaultRounds {
  readonly #options: FaultOptions;
  readonly #random: () => number;
  readonly #counts = new Map<string, number>();
  #round = 0;

  constructor(options: FaultOptions) {
    this.#options = options;
    this.#random = mulberry(options.seed);
  }

  summary(): string {
    return [...this.#counts].map(([what, count]) => `${String(count).padStart(5)} ${what}`).join(
      "\n",
    );
  }

  async run(kind: FaultKind): Promise<{ readonly ok: boolean; readonly text: string }> {
    const { shapes = faultShapes } = this.#options;
    const shape = kind === "load" ? "split" : shapes[Math.floor(this.#random() * shapes.length)]!;
    const settings = { autovacuum: "off" };
    await using old = shape === "old"
      ? await startCluster({ major: this.#random() < 0.5 ? 12 : 13, settings })
      : undefined;
    await using disk = kind === "disk" ? await smallDisk("260m") : undefined;
    await using state = kind === "state" ? await smallDisk("16k") : undefined;
    await using own = disk === undefined ? undefined : await startCluster({
      major: 17,
      dataRoot: disk.path,
      settings: { ...settings, max_wal_size: "32MB", min_wal_size: "32MB" },
    });
    // the state file's disk is full from the start, so only the target records what is done
    if (state !== undefined) await state.fill();
    const folder = await Deno.makeTempDir({ prefix: "psr-faults-" });
    const name = `fault_${++this.#round}`;
    const round: Round = {
      kind,
      shape,
      names: shape === "several" ? [name, `${name}_b`] : [name],
      source: old ?? this.#options.source,
      target: own ?? this.#options.target,
      disk,
      folder: state?.path ?? folder,
    };
    try {
      for (const each of round.names) {
        await exec(round.source.url(), `CREATE DATABASE ${each} TEMPLATE template0`);
        const scale = 1 + Math.floor(this.#random() * 3);
        await exec(round.source.url({ database: each }), fillStatements(scale) + "ANALYZE;");
      }
      const { ok, text } = await this.#untilItSucceeds(round);
      return { ok, text: `${shape.padEnd(7)} ${text}` };
    } finally {
      for (const cluster of [...(old ? [] : [round.source]), ...(own ? [] : [round.target])]) {
        if (cluster.postmasterPid === 0) await cluster.start();
        for (const each of round.names) await dropDatabase(cluster, each);
      }
      await Deno.remove(folder, { recursive: true });
    }
  }

  async #untilItSucceeds(round: Round): Promise<{ readonly ok: boolean; readonly text: string }> {
    const attempts: string[] = [];
    const lines: string[] = [];
    const failed = async (text: string) => {
      const { logs } = this.#options;
      const all = `${lines.join("\n")}\n`;
      if (logs !== undefined) await Deno.writeTextFile(`${logs}/${round.names[0]}.log`, all);
      return { ok: false, text: `${attempts.join(" ")}: ${text}` };
    };
    for (let attempt = 1; attempt <= maxAttempts; attempt++) {
      const last = attempt === maxAttempts;
      const faulty = !last && (attempt === 1 || this.#random() < 0.3);
      const outcome = await this.#attempt(round, { faulty, again: attempt > 1 });
      lines.push(...outcome.lines);
      attempts.push(`${outcome.signal ?? outcome.code}${outcome.hit ? "*" : ""}`);
      if (outcome.code === 0) break;
      const tail = outcome.lines.slice(-12).join("\n");
      if (outcome.code === 1) return await failed(`a defect: ${tail}`);
      if (last) return await failed(tail);
    }
    this.#count(`${round.kind} ${round.shape}: ${attempts.join(", ")}`);
    for (const name of round.names) {
      const differences = await this.#differences(name, round);
      if (differences.length > 0) return await failed(`DIFFERENT ${differences.join("; ")}`);
    }
    return { ok: true, text: attempts.join(" ") };
  }

  async #attempt(
    round: Round,
    { faulty, again }: { readonly faulty: boolean; readonly again: boolean },
  ): Promise<Attempt> {
    const { kind, shape, names, source, target, folder } = round;
    const [name = ""] = names;
    const proxies = kind === "cut" || kind === "stall"
      ? { source: await startProxy(source), target: await startProxy(target) }
      : undefined;
    const writer = kind === "load" ? this.#load(source.url({ database: name })) : undefined;
    const path = (cluster: Cluster, proxy: Proxy | undefined) =>
      proxy === undefined
        ? cluster.url({ database: name })
        : proxy.url(cluster.url({ database: name }));
    const child = new Deno.Command(Deno.execPath(), {
      args: [
        ...cliCommand,
        "init",
        "--yes",
        "--log-format=json",
        "--log-level=debug",
        "--jobs=3",
        "--index-jobs=2",
        ...(shape === "whole" ? [] : ["--split-tables-larger-than=1MB"]),
        ...(shape === "text" ? ["--copy-format=text"] : []),
        ...(shape === "filter" ? [`--table-filter=orders:${ordersFilter}`] : []),
        `--include-databases=${names.join(",")}`,
        // a run that was killed under load, or lost its snapshot, resumes in a different snapshot
        ...(again || kind === "source" || kind === "backend" || kind === "cut" || kind === "stall"
          ? ["--allow-mixed-snapshots"]
          : []),
      ].filter((arg) => kind !== "tool" && kind !== "point" || arg !== "--allow-mixed-snapshots"),
      cwd: folder,
      clearEnv: true,
      env: {
        ...denoEnvironment(),
        // the proxies' ports change with each attempt, but a run is identified by the ledger
        SOURCE_URL: path(source, proxies?.source),
        TARGET_URL: path(target, proxies?.target),
      },
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).spawn();
    const lines: string[] = [];
    const fault = faulty ? this.#plan(round, { child, proxies }) : undefined;
    let working: Promise<void> | undefined;
    for await (const line of child.stderr.pipeThrough(new TextLineStream())) {
      if (!line.includes('"table-progress"')) lines.push(line);
      if (fault !== undefined && working === undefined && fault.wanted(line)) {
        working = fault.happens();
      }
    }
    const { code, signal } = await child.status;
    await working;
    await fault?.undo?.();
    await writer?.();
    await proxies?.source[Symbol.asyncDispose]();
    await proxies?.target[Symbol.asyncDispose]();
    return { code, signal, lines, hit: working !== undefined };
  }

  /**
   * Chooses the fault and its time: after some line of the log, so that it can hit every step of
   * the run.
   */
  #plan({ kind, names: [name = ""], source, target, disk }: Round, { child, proxies }: {
    readonly child: Deno.ChildProcess;
    readonly proxies: { readonly source: Proxy; readonly target: Proxy } | undefined;
  }): {
    readonly wanted: (line: string) => boolean;
    readonly happens: () => Promise<void>;
    readonly undo?: () => Promise<void>;
  } {
    const points = [
      '"step-started","step":"globals"',
      '"step-started","step":"database"',
      '"step-finished","step":"database"',
      '"step-started","step":"schema"',
      '"step-finished","step":"schema"',
      '"table-started"',
      '"table-finished"',
      '"work":"copy"',
      '"work":"index"',
      '"step-started","step":"large-objects"',
      '"step-finished","step":"data"',
      '"step-finished","step":"indexes"',
      '"step-started","step":"foreign-keys"',
      '"step-finished","step":"sequences"',
      '"step-finished","step":"finish-schema"',
      '"step-finished","step":"analyze"',
    ];
    const point = points[Math.floor(this.#random() * points.length)]!;
    let begun = false;
    const repeated = /table|work/.test(point) ? 4 : 1;
    let left = kind === "point"
      ? 1 + Math.floor(this.#random() * repeated)
      : Math.floor(this.#random() * 60);
    const wanted = (line: string) => {
      begun ||= line.includes('"step-started","step":"globals"');
      if (!begun) return false;
      if (kind === "point" && !line.includes(point)) return false;
      return --left <= 0;
    };
    const delay = () => new Promise<void>((resolve) => setTimeout(resolve, this.#random() * 30));
    const crash = async (cluster: Cluster) => {
      await cluster.kill("SIGKILL");
      await cluster.start();
    };
    switch (kind) {
      case "tool":
      case "point":
      case "load":
      case "state":
        return { wanted, happens: async () => (await delay(), killTool(child)) };
      case "source":
        return { wanted, happens: () => crash(source) };
      case "target":
        return { wanted, happens: () => crash(target) };
      case "backend":
        return { wanted, happens: () => this.#endBackends(name, { source, target }) };
      case "cut":
        return {
          wanted,
          happens: () => (this.#random() < 0.7 ? proxies!.target : proxies!.source).cut(),
        };
      case "stall":
        return {
          wanted,
          happens: async () => {
            const proxy = this.#random() < 0.5 ? proxies!.target : proxies!.source;
            proxy.stall();
            await new Promise((resolve) => setTimeout(resolve, 300));
            proxy.resume();
            if (this.#random() < 0.5) await proxy.cut();
          },
        };
      case "disk":
        return {
          wanted,
          happens: () => disk!.fill(),
          undo: async () => {
            await disk!.free();
            // a server without space for WAL may shut down, so it is restarted as an operator would
            if (target.postmasterPid === 0) await target.start();
          },
        };
    }
  }

  async #endBackends(
    name: string,
    { source, target }: Pick<Round, "source" | "target">,
  ): Promise<void> {
    const cluster = this.#random() < 0.6 ? target : source;
    await query(
      cluster.url(),
      `SELECT pg_terminate_backend(pid) FROM (
         SELECT pid FROM pg_stat_activity WHERE datname = '${name}'
            AND application_name = 'postgres-seren-replicator' ORDER BY random()
          LIMIT ${1 + Math.floor(this.#random() * 3)}) AS some`,
    ).catch(() => {});
  }

  /** Transfers amounts within each table; no transaction changes a sum. */
  #load(url: string): () => Promise<void> {
    let writing = true;
    const done = (async () => {
      while (writing) await exec(url, loadStatement).catch(() => {});
    })();
    return async () => {
      writing = false;
      await done;
    };
  }

  async #differences(
    name: string,
    { kind, shape, source, target }: Round,
  ): Promise<readonly string[]> {
    const facts = (filter: boolean) => kind === "load" ? factsOfLoad : factsOf(filter);
    const [before, after] = [
      await query(source.url({ database: name }), facts(shape === "filter")),
      await query(target.url({ database: name }), facts(false)),
    ];
    const differences = before.flatMap((row, index) => {
      const [a, b] = [JSON.stringify(row), JSON.stringify(after[index])];
      return a === b ? [] : [`${a} is ${b}`];
    });
    const left = await query(
      target.url({ database: name }),
      "SELECT nspname FROM pg_namespace WHERE nspname = 'seren_ledger'",
    );
    return [...differences, ...(left.length > 0 ? ["the ledger still exists"] : [])];
  }

  #count(what: string): void {
    this.#counts.set(what, (this.#counts.get(what) ?? 0) + 1);
  }
}

function killTool(child: Deno.ChildProcess): void {
  try {
    child.kill("SIGKILL");
  } catch {
    // it has already exited
  }
}

/** A seeded random number generator. */
function mulberry(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}
