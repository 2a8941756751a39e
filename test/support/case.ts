import type { Cluster } from "../../lib/cluster/mod.ts";
import { type CleanupReport, executeCleanup } from "../../lib/commands/cleanup/cleanup.ts";
import type { SyncReport } from "../../lib/commands/shared/sync_report.ts";
import type { ValidationReport } from "../../lib/commands/shared/validation_report.ts";
import type { VerifyReport } from "../../lib/commands/shared/verify_report.ts";
import { executeStatus, type StatusReport } from "../../lib/commands/status/status.ts";
import { executeValidate } from "../../lib/commands/validate/validate.ts";
import {
  completeValidateOptions,
  type ValidateChoices,
} from "../../lib/commands/shared/complete_options.ts";
import type { SyncSettings } from "../../lib/commands/shared/run.ts";
import { compareDatabases, type CompareOptions, type Difference } from "./compare.ts";
import { create, dropDatabase } from "./databases.ts";
import { endpointOf, type InitOutcome, type InitTestOptions, runInit } from "./init.ts";
import { makeReferenceCopy, type ReferenceCopy } from "./reference_copy.ts";
import { runScript } from "./script.ts";
import { exec, query, withSession } from "./sql.ts";
import { runSync, syncSettings } from "./sync.ts";
import { runVerify, type VerifyTestOptions } from "./verify.ts";

/** Options of {@linkcode withCase}. */
export interface CaseOptions {
  readonly source: Cluster;
  /** A different server: the database has the same name on both. */
  readonly target: Cluster;
  /** The database. Default: `h` and the file's number, or the file's name. */
  readonly name?: string;
  /**
   * A login role without privileges, created to own the database and run the file. Default: the
   * superuser.
   */
  readonly owner?: string;
  /** The encoding of the database, such as `SQL_ASCII`, with locale `C`. Default: the server's. */
  readonly encoding?: string;
  /**
   * Transforms the file first, for versions that lack something or for variants of the case.
   */
  readonly rewrite?: (script: string) => string;
}

/** The result of waiting for replication. */
export type DrainOutcome = "drained" | "stuck";

/**
 * Startup parameters that override the settings of database and role.
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
 * A case whose database exists on the source, where the file up to `-- STREAM` has been run. Each
 * method runs the product once or compares both sides.
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

  /** A URL of the database that overrides the settings of database and role. */
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

  /** Runs `validate` on the database. */
  async validate(options: Partial<ValidateChoices> = {}): Promise<ValidationReport> {
    return await executeValidate(
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

  /** Runs `init` on the database. */
  async init(options: InitTestOptions = {}): Promise<InitOutcome> {
    return await runInit(this.sourceUrl, this.target.url(), {
      include: [this.name],
      jobs: 2,
      sessionRetryDelaysMs: [],
      databaseRetryDelaysMs: [],
      ...options,
    });
  }

  /** Runs `init --enable-sync`. Default of `identity`: `full`. */
  async initWithSync(
    { identity = "full", ...options }: InitTestOptions & Partial<Pick<SyncSettings, "identity">> =
      {},
  ): Promise<InitOutcome> {
    return await this.init({ sync: { ...syncSettings, identity }, ...options });
  }

  /** Runs the part after `-- STREAM` on the source, in a separate session. */
  async stream(): Promise<void> {
    if (this.#streamed === undefined) throw new Error("this case has no part after -- STREAM");
    await runScript(this.sourceUrl, this.#streamed);
  }

  /**
   * Waits until the target has applied everything committed on the source (`drained`), or until
   * replication has failed permanently (`stuck`): its subscription is disabled, or its worker has
   * failed twice.
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
            // WAL must follow the mark for it to be confirmed
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

  /** Runs `sync`, by default following the stream. */
  async sync(
    options: Parameters<typeof runSync>[2] = {},
  ): Promise<{ readonly report: SyncReport }> {
    return await runSync(this.sourceUrl, this.target.url(), { include: [this.name], ...options });
  }

  /** Runs `verify` on the database. */
  async verify(options: VerifyTestOptions = {}): Promise<VerifyReport> {
    return await runVerify(this.sourceUrl, this.targetUrl, options);
  }

  /** Runs `status` once. */
  async status(): Promise<StatusReport> {
    return await executeStatus({
      ...await this.#endpoints(),
      databases: { include: [this.name], exclude: [] },
      sampleMs: 100,
      now: () => new Date(),
    }, context());
  }

  /** Runs `cleanup` on both sides, confirmed. */
  async cleanup(): Promise<CleanupReport> {
    const result = await executeCleanup({
      ...await this.#endpoints(),
      databases: { include: [this.name], exclude: [] },
      checkpoints: undefined,
      confirm: () => Promise.resolve(true),
    }, context());
    if (result.kind !== "removed") throw new Error("cleanup was declined");
    return result.report;
  }

  /** Differences between source and target according to plain SQL; empty if equal. */
  async differences(options: CompareOptions = {}): Promise<readonly Difference[]> {
    return await compareDatabases(
      this.neutralUrl("source"),
      this.neutralUrl("target"),
      options,
    );
  }

  /**
   * Copies the database with pg_dump and psql to `<name>_reference` on the target, to compare other
   * copies with it; call it before `init`. Undefined without client programs of a suitable version.
   */
  async reference(): Promise<ReferenceCopy | undefined> {
    return await makeReferenceCopy(this);
  }

  /** Differences between a reference copy and the target according to plain SQL; empty if equal. */
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
 * Sets up a case from its file in `test/cases/`, passes it to `use`, and always drops the databases
 * and roles of both sides.
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
    await create(source, name, databaseOptions({ owner, encoding }));
    const user = owner === undefined ? {} : { user: owner };
    await runScript(source.url({ database: name, ...user }), setup);
    return await use(new Case({ source, target, name, streamed }));
  } finally {
    // target first: its subscriptions use slots of the source
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

function databaseOptions({ owner, encoding }: {
  readonly owner: string | undefined;
  readonly encoding: string | undefined;
}): string {
  return [
    "TEMPLATE template0",
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

/** Drops databases, regardless of their settings and sessions, and roles created since. */
async function forget(
  cluster: Cluster,
  names: readonly string[],
  rolesBefore: readonly string[],
): Promise<void> {
  if (!cluster.postmasterPid) return; // killed by the test, and disposed of with its database
  for (const name of names) await dropDatabase(cluster, name);
  for (const role of await rolesOf(cluster)) {
    if (!rolesBefore.includes(role)) {
      await exec(cluster.url(), `DROP OWNED BY ${role}; DROP ROLE ${role}`);
    }
  }
}

/**
 * Detects when a subscription of the session's database has failed permanently since this was
 * called.
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
  // before version 15 servers do not count failures; an exiting worker is the only sign, and the
  // deadline decides
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
