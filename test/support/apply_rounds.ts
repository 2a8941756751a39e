import { strictEqual } from "node:assert/strict";
import { type Cluster, type PgMajor, startCluster } from "../../lib/cluster/mod.ts";
import { denoEnvironment } from "./cli.ts";
import { createClientStream } from "./client_stream.ts";
import { startProxy } from "./proxy.ts";
import { compareRows, drain, tablesOf } from "./replicated.ts";
import { loadSchema, startReplicationLoad } from "./replication_load.ts";
import { exec, query } from "./sql.ts";

/** What is killed in a round. */
export const killed = ["applier", "target", "source", "backend", "cut", "stall"] as const;

/** Options of {@linkcode applyRounds}. */
export interface ApplyRoundsOptions {
  readonly source: PgMajor;
  readonly target: PgMajor;
  readonly rounds: number;
  readonly seed: number;
  /** Called after each round. */
  readonly onRound?: (round: number, what: string) => void;
}

const program = new URL("./apply_program.ts", import.meta.url).pathname;

/** A process that applies changes, started again whenever it has ended. */
class AppliedStream implements AsyncDisposable {
  readonly #environment: Record<string, string>;
  readonly #errors: string[] = [];
  #child: Deno.ChildProcess | undefined;
  #isEnding = false;
  readonly #running: Promise<void>;

  constructor(environment: Record<string, string>) {
    this.#environment = environment;
    this.#running = this.#run();
  }

  get errors(): readonly string[] {
    return this.#errors;
  }

  kill(): void {
    this.#child?.kill("SIGKILL");
  }

  async #run(): Promise<void> {
    while (!this.#isEnding) {
      this.#child = new Deno.Command(Deno.execPath(), {
        args: ["run", "--lock=deno.lock", "--frozen", "--no-check", "-A", program],
        env: { ...denoEnvironment(), ...this.#environment },
        stdin: "null",
        stdout: "null",
        stderr: "piped",
      }).spawn();
      const text = await new Response(this.#child.stderr).text();
      const { success, signal } = await this.#child.status;
      if (!success && signal === null) this.#errors.push(text);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isEnding = true;
    this.kill();
    await this.#running;
  }
}

/**
 * Kills what applies changes under load, again and again, and compares both sides.
 *
 * @returns transactions of the load
 */
export async function applyRounds(options: ApplyRoundsOptions): Promise<number> {
  await using source = await startCluster({ major: options.source });
  await using target = await startCluster({ major: options.target });
  await using toSource = await startProxy({ host: "127.0.0.1", port: source.port });
  await using toTarget = await startProxy({ host: "127.0.0.1", port: target.port });
  for (const cluster of [source, target]) await exec(cluster.url(), "CREATE DATABASE load");
  const sourceUrl = source.url({ database: "load" });
  const targetUrl = target.url({ database: "load" });
  await exec(targetUrl, loadSchema());
  await exec(targetUrl, `TRUNCATE ${(await tablesOf(targetUrl)).join(", ")} CASCADE`);
  const stream = await createClientStream(sourceUrl, targetUrl);
  await exec(sourceUrl, loadSchema());
  await exec(sourceUrl, "ALTER TABLE log REPLICA IDENTITY FULL");
  await using applier = new AppliedStream({
    SOURCE: toSource.url(sourceUrl),
    TARGET: toTarget.url(targetUrl),
    STREAM: stream.name,
  });
  await using load = startReplicationLoad(sourceUrl, { twoPhase: false });
  let seed = options.seed;
  const random = (below: number) => (seed = (seed * 48271) % 2147483647) % below;
  const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
  const crash = async (cluster: Cluster) => {
    await cluster.kill("SIGKILL");
    await pause(random(500));
    await cluster.start();
  };
  for (let round = 1; round <= options.rounds; round++) {
    await load.more(20 + random(60));
    await pause(random(700));
    const what = killed[random(killed.length)] ?? "applier";
    const proxy = random(2) === 0 ? toSource : toTarget;
    if (what === "applier") applier.kill();
    else if (what === "target") await crash(target);
    else if (what === "source") await crash(source);
    else if (what === "backend") {
      await query(
        targetUrl,
        "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'",
      );
    } else if (what === "cut") await proxy.cut();
    else {
      if (random(2) === 0) proxy.stall();
      else proxy.swallow();
      await pause(random(1500));
      await proxy.cut();
      proxy.resume();
    }
    options.onRound?.(round, what);
    if (round % 10 === 0 || round === options.rounds) {
      // the target's own state, whatever the applier reports
      const [record] = await query(targetUrl, "SELECT enabled, error FROM seren_apply.stream");
      strictEqual(JSON.stringify(record), JSON.stringify({ enabled: true, error: null }));
    }
  }
  const counts = await load.stop();
  strictEqual(counts.surprises.join("\n"), "");
  await drain(sourceUrl);
  await compareRows(sourceUrl, targetUrl);
  strictEqual(applier.errors.join("\n"), "");
  return counts.committed;
}
