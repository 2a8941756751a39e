/** Interrupts cutovers under load with every kind of fault, and counts every commit afterwards. */
import type { Cluster } from "../../lib/cluster/mod.ts";
import {
  type Acknowledged,
  acknowledgedSchema,
  checkAcknowledged,
  startAcknowledgedLoad,
} from "../support/acknowledged_load.ts";
import { dropDatabase } from "../support/databases.ts";
import { runInit } from "../support/init.ts";
import { type Proxy, startProxy } from "../support/proxy.ts";
import { compareRows, drain } from "../support/replicated.ts";
import { exec, query } from "../support/sql.ts";
import { syncSettings } from "../support/sync.ts";
import { startOpenProbe } from "./open_probe.ts";
import type { FenceKind } from "../../lib/config/internal.ts";
import { kill9, type ProgramFault, runCutover } from "./run_program.ts";

/** The kinds of faults. */
export const cutoverFaults = [
  "tool",
  "random",
  "source",
  "target",
  "both",
  "cut",
  "drop",
  "stop",
  "backend",
  "none",
] as const;

/** One of {@linkcode cutoverFaults}. */
export type CutoverFault = typeof cutoverFaults[number];

/** Every step of a switch, in order: `begin` and `end` with the number of the occurrence. */
export const cutoverPoints = [
  "begin way-back 1",
  "end way-back 1",
  "begin drain 1",
  "end drain 1",
  "begin hook-before 1",
  "end hook-before 1",
  "end barrier 1",
  "begin drain 2",
  "end drain 2",
  "begin sequences 1",
  "end sequences 1",
  "begin final-check 1",
  "end final-check 1",
  "begin way-back 2",
  "end way-back 2",
  "begin open 1",
  "end open 1",
  "begin fence 1",
  "end fence 1",
  "begin open 2",
  "end open 2",
  "begin hook-switch 1",
  "end hook-switch 1",
  "begin tripwire 1",
  "begin hook-after 1",
] as const;

/**
 * Those after {@linkcode cutoverPoints} that only a switch of several databases has: between their
 * commits.
 */
export const severalPoints = [
  "end fence 2",
  "begin fence 3",
  "end fence 3",
  "begin tripwire 2",
] as const;

/**
 * Those that only a switch has which ends client sessions: that of rounds with the weaker fence.
 */
export const sessionPoints = ["begin end-sessions 1", "end end-sessions 1"] as const;

/** How long writers may wait, unless a server itself is down. */
const maxPauseMs = 4_000;

const rolePassword = "secret";

const graceMs = 4_000;
const maxAttempts = 8;

/** The servers, and the seed of random choices. */
export interface KillOptions {
  readonly source: Cluster;
  readonly target: Cluster;
  readonly seed: number;
  /** How many databases are switched together. Default: 1. */
  readonly databases?: number;
  /**
   * How the source is closed. Default: by triggers. By sessions, the tool's role does not own the
   * tables there; the source must be 16 or later, and the target must ask for a password.
   */
  readonly fence?: FenceKind;
  /** Receives the lines of commands in failed rounds. */
  readonly log?: (lines: readonly string[]) => void;
}

/** One outcome. */
export interface KillOutcome {
  readonly ok: boolean;
  readonly text: string;
}

/** One database, and what its writers know of it. */
interface LoadedDatabase {
  readonly name: string;
  readonly targetName: string;
  readonly sourceUrl: string;
  readonly targetUrl: string;
  /** URLs of both sides for the writers. */
  readonly writerUrls: { readonly source: string; readonly target: string };
  readonly acknowledged: Acknowledged[];
  readonly unknown: Acknowledged[];
}

/** Between the tool and each server. */
interface Proxies {
  readonly source: Proxy;
  readonly target: Proxy;
}

/** Databases that are switched back and forth together. States: set up → disposed. */
export class KillRounds implements AsyncDisposable {
  readonly #options: KillOptions;
  readonly #databases: readonly LoadedDatabase[];
  readonly #random: () => number;
  readonly #isWeak: boolean;
  #direction: "run" | "rollback" = "run";
  #round = 0;
  /** Whether the fault of the round has crashed a server: then writers wait for that too. */
  #hasCrashed = false;

  private constructor(options: KillOptions) {
    const { source, target, seed, databases = 1, fence = "triggers" } = options;
    this.#options = options;
    this.#isWeak = fence === "sessions";
    this.#databases = Array.from({ length: databases }, (_, at): LoadedDatabase => {
      const name = `cut_${Deno.pid}_${seed}_${at}`;
      const targetName = source === target ? `${name}_new` : name;
      return {
        name,
        targetName,
        sourceUrl: source.url({ database: name }),
        targetUrl: target.url({ database: targetName }),
        writerUrls: {
          source: source.url({ database: name, ...this.#writer }),
          target: target.url({ database: targetName, ...this.#writer }),
        },
        acknowledged: [],
        unknown: [],
      };
    });
    this.#random = mulberry(seed);
  }

  /** Copies the tables and prepares the cutover. */
  static async start(options: KillOptions): Promise<KillRounds> {
    const { source, target } = options;
    const rounds = new KillRounds(options);
    for (const { name, sourceUrl } of rounds.#databases) {
      await exec(source.url(), `CREATE DATABASE ${name} TEMPLATE template0`);
      await exec(sourceUrl, acknowledgedSchema);
    }
    const { databases, map } = rounds.#input();
    await runInit(source.url(), target.url(), { include: databases, map, sync: syncSettings });
    if (rounds.#isWeak) await rounds.#createRoles();
    const prepared = await runCutover({ command: "prepare", ...rounds.#input() });
    if (prepared.code !== 0) throw new Error(prepared.error);
    return rounds;
  }

  /** What the URLs of clients name in rounds with the weaker fence. */
  get #writer() {
    return this.#isWeak ? { user: `app_${this.#options.seed}`, password: rolePassword } : {};
  }

  /** The role with which the tool connects to the source. */
  get #mover() {
    return this.#isWeak ? { user: `mover_${this.#options.seed}`, password: rolePassword } : {};
  }

  /** A role that owns the databases of the source but not their tables, and one that writes. */
  async #createRoles(): Promise<void> {
    const { source, target } = this.#options;
    const [mover, writer] = [this.#mover.user!, this.#writer.user!];
    await exec(
      source.url(),
      `CREATE ROLE ${mover} LOGIN REPLICATION PASSWORD '${rolePassword}';
       GRANT pg_signal_backend, pg_create_subscription TO ${mover}`,
    );
    for (const cluster of new Set([source, target])) {
      await exec(cluster.url(), `CREATE ROLE ${writer} LOGIN PASSWORD '${rolePassword}'`);
    }
    for (const { name, sourceUrl, targetUrl } of this.#databases) {
      for (const [url, role] of [[sourceUrl, mover], [sourceUrl, writer], [targetUrl, writer]]) {
        await exec(
          url!,
          `GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON ALL TABLES IN SCHEMA public TO ${role};
           GRANT USAGE, SELECT, UPDATE ON ALL SEQUENCES IN SCHEMA public TO ${role}`,
        );
      }
      await exec(sourceUrl, `ALTER DATABASE ${name} OWNER TO ${mover}`);
      const publications = await query<{ name: string }>(
        sourceUrl,
        "SELECT pubname AS name FROM pg_publication",
      );
      for (const publication of publications) {
        await exec(sourceUrl, `ALTER PUBLICATION ${publication.name} OWNER TO ${mover}`);
      }
    }
  }

  #input(proxies?: { readonly source: Proxy; readonly target: Proxy }) {
    const { source, target } = this.#options;
    return {
      sourceUrl: proxies?.source.url(source.url(this.#mover)) ?? source.url(this.#mover),
      targetUrl: proxies?.target.url(target.url()) ?? target.url(),
      targetFromSource: target.url(),
      databases: this.#databases.map(({ name }) => name),
      map: Object.fromEntries(this.#databases.map(({ name, targetName }) => [name, targetName])),
      maxPauseMs,
      fence: this.#isWeak ? "sessions" : "triggers",
      endSessions: this.#isWeak,
    } as const;
  }

  /** One switch with a fault, repeated until it succeeds; then every commit is counted. */
  async run(kind: CutoverFault, point: string): Promise<KillOutcome> {
    const direction = this.#direction;
    const first = ++this.#round * 1_000_000;
    const writers = this.#databases.length > 1 ? 2 : 4;
    const inDirection = <Value>({ source, target }: { source: Value; target: Value }) =>
      direction === "run" ? { from: source, to: target } : { from: target, to: source };
    const sides = this.#databases.map(({ sourceUrl, targetUrl }) =>
      inDirection({ source: sourceUrl, target: targetUrl })
    );
    const clients = this.#databases.map(({ writerUrls }) => inDirection(writerUrls));
    this.#hasCrashed = false;
    const attempts: string[] = [];
    const problems: string[] = [];
    const lines: string[] = [];
    const probe = startOpenProbe(clients, { isOrdinary: this.#isWeak });
    const loads = clients.map(({ from, to }) =>
      startAcknowledgedLoad([from, to], { first, writers, pauseMs: 2 })
    );
    const more = (chosen = loads) => Promise.all(chosen.map((load) => load.more(20)));
    const longest = () => Math.max(...loads.map((load) => load.takeLongestMs()));
    // while the tool is suspended, no server lifts the weaker fence, unlike the barrier
    let wasRefused = this.#isWeak && kind === "stop";
    await using proxies = kind === "cut" || kind === "drop" ? await this.#proxies() : undefined;
    try {
      await more();
      for (let attempt = 1; attempt <= maxAttempts; attempt++) {
        longest();
        const fault = attempt === 1 ? this.#fault(kind, { point, proxies }) : undefined;
        const outcome = await runCutover(
          { command: direction, ...this.#input(fault === undefined ? undefined : proxies) },
          ...(fault === undefined ? [] : [fault]),
        );
        lines.push(...outcome.lines, "---");
        attempts.push(
          `${outcome.signal ?? outcome.code}${outcome.hitAt === undefined ? "" : "*"}`,
        );
        if (outcome.code === 1) problems.push(`a defect: ${outcome.error}`);
        if (outcome.code === 0) break;
        lines.push(outcome.error);
        // without a fault it should not fail: a busy machine, or a defect
        if (attempt > 1 || outcome.hitAt === undefined) {
          attempts.push(`(${outcome.error.slice(0, 120)})`);
        }
        if (attempt === maxAttempts) problems.push(`not completed: ${outcome.error}`);
        const open = await Promise.all(sides.map(({ from }) => isOpen(from)));
        // not closed yet, so their writers continue
        await within(
          more(loads.filter((_, at) => open[at])),
          maxPauseMs + graceMs,
          "writers did not continue",
          problems,
        );
        const longestMs = longest();
        const crashes = this.#hasCrashed;
        // a killed command leaves the weaker fence closed, which refuses writers until the next one
        wasRefused ||= this.#isWeak && open.includes(false);
        if (!crashes && !wasRefused && longestMs > maxPauseMs + graceMs) {
          problems.push(`a writer waited ${Math.round(longestMs)} ms`);
        }
        // backends of a killed tool may need a moment to end
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
      if (problems.length === 0) {
        await within(more(), 30_000, "writers did not continue afterwards", problems);
      }
    } finally {
      problems.push(...await probe.stop());
      for (const [at, load] of loads.entries()) {
        const { acknowledged, unknown, errors } = await load.stop();
        this.#databases[at]!.acknowledged.push(...acknowledged);
        this.#databases[at]!.unknown.push(...unknown);
        const strange = Object.keys(errors).filter((code) => code === "40P01" || code === "23505");
        if (strange.length > 0) problems.push(`writers got ${strange}`);
      }
    }
    if (problems.length === 0) {
      for (const [at, database] of this.#databases.entries()) {
        problems.push(...await differences(database, sides[at]!.to));
      }
    }
    if (problems.length === 0) this.#direction = direction === "run" ? "rollback" : "run";
    else this.#options.log?.(lines);
    const text = `${direction.padEnd(8)} ${point.padEnd(20)} ${attempts.join(" ")}`;
    return { ok: problems.length === 0, text: [text, ...problems].join("\n      ") };
  }

  async #proxies() {
    const { source, target } = this.#options;
    const opened = { source: await startProxy(source), target: await startProxy(target) };
    return {
      ...opened,
      async [Symbol.asyncDispose]() {
        await opened.source[Symbol.asyncDispose]();
        await opened.target[Symbol.asyncDispose]();
      },
    };
  }

  #fault(
    kind: CutoverFault,
    { point, proxies }: {
      readonly point: string;
      readonly proxies: Proxies | undefined;
    },
  ): ProgramFault | undefined {
    const { source, target } = this.#options;
    const wait = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
    const crash = async (...clusters: readonly Cluster[]) => {
      this.#hasCrashed = true;
      for (const cluster of new Set(clusters)) await cluster.kill("SIGKILL");
      for (const cluster of new Set(clusters)) await cluster.start();
    };
    switch (kind) {
      case "none":
        return undefined;
      case "tool":
        return {
          point,
          halts: true,
          act: async (child) => {
            kill9(child);
            // and sometimes the servers after it
            if (this.#random() < 0.3) await crash(source, target);
          },
        };
      case "random":
        return {
          point,
          halts: false,
          act: async (child) => {
            await wait(this.#random() * 40);
            kill9(child);
          },
        };
      case "source":
        return { point, halts: true, act: () => crash(source) };
      case "target":
        return { point, halts: true, act: () => crash(target) };
      case "both":
        return { point, halts: true, act: () => crash(source, target) };
      case "cut":
        return {
          point,
          halts: this.#random() < 0.5,
          act: async () => {
            for (const proxy of this.#chosen(proxies!)) await proxy.cut();
          },
        };
      case "drop":
        return {
          point,
          halts: this.#random() < 0.5,
          act: () => {
            for (const proxy of this.#chosen(proxies!)) proxy.swallow();
            return Promise.resolve();
          },
        };
      case "stop":
        return { point, halts: true, act: () => wait(maxPauseMs + 500) };
      case "backend":
        return { point, halts: true, act: () => this.#endBackend() };
    }
  }

  /** One of them, or both. */
  #chosen({ source, target }: Proxies): readonly Proxy[] {
    const which = this.#random();
    return [...(which < 0.67 ? [source] : []), ...(which > 0.33 ? [target] : [])];
  }

  /** Ends one session of the tool. */
  async #endBackend(): Promise<void> {
    const at = Math.floor(this.#random() * this.#databases.length);
    const { sourceUrl, targetUrl } = this.#databases[at]!;
    const url = this.#random() < 0.6 ? sourceUrl : targetUrl;
    const pids = await query<{ pid: number }>(
      url,
      `SELECT pid FROM pg_stat_activity WHERE datname = current_database()
          AND application_name = 'postgres-seren-replicator' ORDER BY pid`,
    );
    const chosen = pids[Math.floor(this.#random() * pids.length)];
    if (chosen === undefined) return;
    await query(url, `SELECT pg_terminate_backend(${chosen.pid})`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { source, target } = this.#options;
    if (source.postmasterPid === 0) await source.start();
    if (target.postmasterPid === 0) await target.start();
    for (const { name, targetName } of this.#databases) {
      await dropDatabase(target, targetName);
      await dropDatabase(source, name);
    }
  }
}

async function isOpen(url: string): Promise<boolean> {
  const [row] = await query<{ is_open: boolean }>(
    url,
    `SELECT is_open AND COALESCE(details ->> 'isClosing', '') <> 'true' AS is_open
       FROM seren_cutover.side`,
  );
  return row?.is_open === true;
}

/** Commits of a database that are missing or exist twice on either side. */
async function differences(
  { sourceUrl, targetUrl, acknowledged, unknown }: LoadedDatabase,
  inUse: string,
): Promise<readonly string[]> {
  const problems: string[] = [];
  await within(drain(inUse), 30_000, "replication does not catch up", problems);
  if (problems.length > 0) return problems;
  for (const url of [sourceUrl, targetUrl]) {
    problems.push(...(await checkAcknowledged(url, { acknowledged, unknown })).slice(0, 5));
  }
  if (problems.length > 0) return problems;
  try {
    await compareRows(sourceUrl, targetUrl);
  } catch (error) {
    problems.push(error instanceof Error ? error.message : String(error));
  }
  return problems;
}

async function within(
  work: Promise<unknown>,
  ms: number,
  problem: string,
  problems: string[],
): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<"late">((resolve) => timer = setTimeout(() => resolve("late"), ms));
  const ended = await Promise.race([work.then(() => "done" as const), late]);
  clearTimeout(timer);
  if (ended === "late") problems.push(problem);
}

/** A seeded random number generator. */
export function mulberry(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}
