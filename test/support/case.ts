import type { Cluster } from "../../lib/cluster/mod.ts";
import { cleanup, type CleanupReport } from "../../lib/commands/cleanup/cleanup.ts";
import type {
  SyncReport,
  ValidationReport,
  VerifyReport,
} from "../../lib/commands/shared/report.ts";
import { status, type StatusReport } from "../../lib/commands/status/status.ts";
import { validate } from "../../lib/commands/validate/validate.ts";
import {
  completeValidateOptions,
  type ValidateChoices,
} from "../../lib/commands/shared/complete_options.ts";
import type { SyncSettings } from "../../lib/commands/shared/run.ts";
import { compareDatabases, type CompareOptions, type Difference } from "./compare.ts";
import { dropDatabase } from "./databases.ts";
import { endpointOf, type InitOutcome, type InitTestOptions, runInit } from "./init.ts";
import { makeReferenceCopy, type ReferenceCopy } from "./reference_copy.ts";
import { runScript } from "./script.ts";
import { exec, query, withSession } from "./sql.ts";
import { runSync, syncSettings } from "./sync.ts";
import { runVerify, type VerifyTestOptions } from "./verify.ts";

/** Where a case runs, and as what. */
export interface CaseOptions {
  readonly source: Cluster;
  /** Another server than the source: the database has the same name on both. */
  readonly target: Cluster;
  /** The database. Default: `h` and the file's number, or the file's name. */
  readonly name?: string;
  /**
   * A login role without privileges that owns the database and runs the file; it is made. Default:
   * the superuser.
   */
  readonly owner?: string;
  /** Of the database, such as `SQL_ASCII`, under the locale `C`. Default: the server's. */
  readonly encoding?: string;
  /**
   * Applied to the whole file first; for versions that lack something, or for siblings of the case.
   */
  readonly rewrite?: (script: string) => string;
}

/** How a wait for replication ended. */
export type DrainOutcome = "drained" | "stuck";

/**
 * Startup parameters of a session of the test's own, whatever the database's or the role's settings
 * are.
 */
const neutral = {
  role: "none",
  statement_timeout: "0",
  lock_timeout: "0",
  default_transaction_read_only: "off",
  default_transaction_isolation: "read committed",
  standard_conforming_strings: "on",
};

/**
 * A case that is set up: its database exists on the source, and the file up to `-- STREAM` has been
 * run there. Each method is one run of the product, or one look at both sides; a test calls those
 * that it needs.
 */
export class Case {
  readonly source: Cluster;
  readonly target: Cluster;
  readonly name: string;
  readonly sourceUrl: string;
  /** The database need not exist yet. */
  readonly targetUrl: string;
  readonly #streamed: string | undefined;

  /** Use {@linkcode withCase}. */
  constructor({ source, target, name, streamed }: {
    readonly source: Cluster;
    readonly target: Cluster;
    readonly name: string;
    readonly streamed: string | undefined;
  }) {
    this.source = source;
    this.target = target;
    this.name = name;
    this.sourceUrl = source.url({ database: name });
    this.targetUrl = target.url({ database: name });
    this.#streamed = streamed;
  }

  /** The database on a side in a session that no setting of database or role reaches. */
  neutralUrl(side: "source" | "target"): string {
    return this[side].url({ database: this.name, params: neutral });
  }

  /** A query on one side, by {@linkcode neutralUrl}. */
  async ask<Row extends Record<string, unknown>>(
    side: "source" | "target",
    sql: string,
  ): Promise<readonly Row[]> {
    return await query<Row>(this.neutralUrl(side), sql);
  }

  /** `validate` of the database; nothing is changed. */
  async validate(options: Partial<ValidateChoices> = {}): Promise<ValidationReport> {
    return await validate(
      completeValidateOptions({
        ...await this.#endpoints(),
        databases: { include: [this.name], exclude: [], map: {} },
        tools: { dump: "embedded", binDirectory: undefined, environment: {} },
        jobs: 2,
        ...options,
      }),
      context(),
    );
  }

  /** `init` of the database. */
  async init(options: InitTestOptions = {}): Promise<InitOutcome> {
    return await runInit(this.sourceUrl, this.target.url(), {
      include: [this.name],
      jobs: 2,
      retryPausesMs: [],
      ...options,
    });
  }

  /** `init --enable-sync`. Default of `identity`: `full`. */
  async initWithSync(
    { identity = "full", ...options }: InitTestOptions & Partial<Pick<SyncSettings, "identity">> =
      {},
  ): Promise<InitOutcome> {
    return await this.init({ sync: { ...syncSettings, identity }, ...options });
  }

  /** Runs what follows `-- STREAM` on the source, in a session of its own. */
  async stream(): Promise<void> {
    if (this.#streamed === undefined) throw new Error("this case has no part after -- STREAM");
    await runScript(this.sourceUrl, this.#streamed);
  }

  /**
   * Waits until the target has everything that is committed on the source by now (`drained`), or
   * until replication has failed for good: its subscription is disabled, or its worker has failed
   * twice (`stuck`).
   */
  async drain(): Promise<DrainOutcome> {
    return await withSession(
      this.neutralUrl("source"),
      async (source) =>
        await withSession(this.neutralUrl("target"), async (target) => {
          const emit = "SELECT pg_logical_emit_message(true, 'test', 'mark')";
          await source.unsafe(emit).simple();
          const [mark] = await source.unsafe<{ lsn: string }[]>(
            "SELECT pg_current_wal_insert_lsn()::text AS lsn",
          ).simple();
          const failures = await failuresBefore(target);
          const deadline = performance.now() + 120_000;
          for (;;) {
            // something has to follow the mark, so that it is confirmed
            await source.unsafe(emit).simple();
            const [slots] = await source.unsafe<{ ok: boolean | null }[]>(
              `SELECT bool_and(confirmed_flush_lsn >= '${mark!.lsn}') AS ok
               FROM pg_replication_slots WHERE database = current_database()`,
            ).simple();
            if (slots?.ok) return "drained";
            if (await failures.isStuck()) return "stuck";
            if (performance.now() > deadline) {
              throw new Error("replication neither caught up nor failed within two minutes");
            }
            await new Promise((resolve) => setTimeout(resolve, 30));
          }
        }),
    );
  }

  /** `sync`, which follows by default. */
  async sync(
    options: Parameters<typeof runSync>[2] = {},
  ): Promise<{ readonly report: SyncReport }> {
    return await runSync(this.sourceUrl, this.target.url(), { include: [this.name], ...options });
  }

  /** `verify` of the database. */
  async verify(options: VerifyTestOptions = {}): Promise<VerifyReport> {
    return await runVerify(this.sourceUrl, this.targetUrl, options);
  }

  /** One look of `status`. */
  async status(): Promise<StatusReport> {
    return await status({
      ...await this.#endpoints(),
      databases: { include: [this.name], exclude: [] },
      sampleMs: 100,
      now: () => new Date(),
    }, context());
  }

  /** `cleanup` of both sides, confirmed. */
  async cleanup(): Promise<CleanupReport> {
    const report = await cleanup({
      ...await this.#endpoints(),
      databases: { include: [this.name], exclude: [] },
      checkpoints: undefined,
      confirm: () => Promise.resolve(true),
    }, context());
    if (report === undefined) throw new Error("cleanup was declined");
    return report;
  }

  /** What plain SQL finds different between source and target; empty: equal. */
  async differences(options: CompareOptions = {}): Promise<readonly Difference[]> {
    return await compareDatabases(
      this.neutralUrl("source"),
      this.neutralUrl("target"),
      options,
    );
  }

  /**
   * Copies the database by pg_dump and psql to `<name>_reference` on the target, as what a copy is
   * to be compared with; before `init`. Undefined where no client programs are installed, or only
   * older ones.
   */
  async reference(): Promise<ReferenceCopy | undefined> {
    return await makeReferenceCopy(this);
  }

  /** What plain SQL finds different between a reference copy and the target; empty: equal. */
  async differencesFrom(
    { name }: ReferenceCopy,
    options: CompareOptions = {},
  ): Promise<readonly Difference[]> {
    return await compareDatabases(
      this.target.url({ database: name, params: neutral }),
      this.neutralUrl("target"),
      options,
    );
  }

  async #endpoints() {
    return {
      source: await endpointOf(this.sourceUrl, "source"),
      target: await endpointOf(this.target.url(), "target"),
    };
  }
}

/**
 * Sets a case up from its file in `test/cases/`, hands it to `use`, and drops databases and roles
 * of both sides in any case.
 *
 * @example
 * ```ts no-assert ignore
 * const source = await sharedCluster(15);
 * const target = await sharedCluster(18);
 *
 * Deno.test("[20] a source without the schema public", async () => {
 *   await withCase("20-no-public-schema.sql", { source, target }, async (it) => {
 *     await it.init();
 *     deepStrictEqual(await it.differences(), []);
 *     strictEqual((await it.verify()).verdict, "equal");
 *   });
 * });
 *
 * Deno.test("[39] a new label of an enum", async () => {
 *   await withCase("39-sync-enum-label.sql", { source, target }, async (it) => {
 *     await it.initWithSync();
 *     await it.stream();
 *     strictEqual(await it.drain(), "stuck");
 *     const { findings } = await it.status();
 *   });
 * });
 * ```
 */
export async function withCase<Result>(
  file: string,
  options: CaseOptions,
  use: (it: Case) => Promise<Result>,
): Promise<Result> {
  const { source, target, owner, encoding, rewrite = (script) => script } = options;
  const name = options.name ?? databaseOf(file);
  const script = rewrite(await Deno.readTextFile(new URL(`../cases/${file}`, import.meta.url)));
  const [setup = "", streamed] = script.split(/^-- STREAM.*\n/m);
  const sides = [source, target];
  const before = await Promise.all(sides.map(rolesOf));
  try {
    if (owner !== undefined) await exec(source.url(), `CREATE ROLE "${owner}" LOGIN`);
    await exec(source.url(), createDatabase({ name, owner, encoding }));
    const user = owner === undefined ? {} : { user: owner };
    await runScript(source.url({ database: name, ...user }), setup);
    return await use(new Case({ source, target, name, streamed }));
  } finally {
    // first the target, whose subscriptions hold slots of the source
    for (const [index, cluster] of [...sides.entries()].reverse()) {
      await forget(cluster, [name, `${name}_reference`], before[index] ?? []);
    }
  }
}

/** `37-sync-new-partition.sql` → `h37`, `security/pin.sql` → `pin`. */
function databaseOf(file: string): string {
  const [, number, name] = /(?:(\d+)-[^/]*|([^/]+))\.sql$/.exec(file) ?? [];
  return number === undefined ? name ?? "" : `h${number}`;
}

function createDatabase({ name, owner, encoding }: {
  readonly name: string;
  readonly owner: string | undefined;
  readonly encoding: string | undefined;
}): string {
  return [
    `CREATE DATABASE "${name}" TEMPLATE template0`,
    ...(owner === undefined ? [] : [`OWNER "${owner}"`]),
    ...(encoding === undefined ? [] : [`ENCODING '${encoding}' LC_COLLATE 'C' LC_CTYPE 'C'`]),
  ].join(" ");
}

async function rolesOf(cluster: Cluster): Promise<readonly string[]> {
  const rows = await query<{ name: string }>(
    cluster.url(),
    "SELECT quote_ident(rolname) AS name FROM pg_roles",
  );
  return rows.map(({ name }) => name);
}

/** Drops databases, whatever their settings and sessions are, and roles that have come since. */
async function forget(
  cluster: Cluster,
  names: readonly string[],
  rolesBefore: readonly string[],
): Promise<void> {
  if (!cluster.postmasterPid) return; // killed by the test, and disposed of with its database
  for (const name of names) {
    const exists = await query(
      cluster.url(),
      `SELECT FROM pg_database WHERE datname = '${name}'`,
    );
    if (exists.length > 0) await exec(cluster.url(), `ALTER DATABASE "${name}" RESET ALL`);
    await dropDatabase(cluster, name);
  }
  for (const role of await rolesOf(cluster)) {
    if (!rolesBefore.includes(role)) {
      await exec(cluster.url(), `DROP OWNED BY ${role}; DROP ROLE ${role}`);
    }
  }
}

/**
 * Tells when a subscription of the session's database has failed for good since this was called.
 */
async function failuresBefore(
  target: { unsafe(sql: string): { simple(): PromiseLike<unknown> } },
): Promise<{ isStuck(): Promise<boolean> }> {
  const ask = async (sql: string) =>
    (await target.unsafe(sql).simple() as { n: number }[])[0]?.n ?? 0;
  const disabled = `SELECT count(*)::int AS n FROM pg_subscription
     WHERE NOT subenabled AND subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())`;
  const counted = await ask(
    "SELECT count(*)::int AS n FROM pg_class WHERE oid = to_regclass('pg_catalog.pg_stat_subscription_stats')",
  );
  // before 15 servers do not count failures; a worker that ends is the only sign, and the deadline
  // decides
  const errors =
    `SELECT coalesce(sum(apply_error_count), 0)::int AS n FROM pg_stat_subscription_stats
     JOIN pg_subscription AS s ON s.oid = subid
    WHERE s.subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())`;
  const before = counted > 0 ? await ask(errors) : 0;
  return {
    isStuck: async () => await ask(disabled) > 0 || counted > 0 && await ask(errors) >= before + 2,
  };
}

function context() {
  return { events: () => {}, signal: new AbortController().signal };
}
