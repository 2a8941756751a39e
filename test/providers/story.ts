/**
 * The whole story of a migration between two stand-ins, as the customer's role, step by step.
 *
 * @module
 */
import { executeCleanup } from "../../lib/commands/cleanup/cleanup.ts";
import { executeFinish } from "../../lib/commands/cutover/finish.ts";
import { completeValidateOptions } from "../../lib/commands/shared/complete_options.ts";
import type { ValidationReport } from "../../lib/commands/shared/validation_report.ts";
import { executeValidate } from "../../lib/commands/validate/validate.ts";
import { describeError, ReplicatorError } from "../../lib/core/internal.ts";
import { noTableRules, readRuleFlags, type TableRules } from "../../lib/rules/internal.ts";
import { RunningApplier } from "../support/client_stream.ts";
import {
  type CutoverPair,
  prepareCutover,
  quietRun,
  switchCutover,
} from "../support/cutover_pair.ts";
import { endpointOf, runInit } from "../support/init.ts";
import { until } from "../support/replication.ts";
import { exec, query } from "../support/sql.ts";
import { syncSettings } from "../support/sync.ts";
import { rowsVerdict, runVerify } from "../support/verify.ts";
import type { StandIn } from "./stand_ins.ts";

/** The steps in order. */
export const steps = [
  "validate",
  "init",
  "sync",
  "verify",
  "prepare",
  "cutover",
  "rollback",
  "cleanup",
] as const;

/** A step. */
export type Step = typeof steps[number];

/** What a step showed. */
export interface Observation {
  readonly step: Step;
  /** `ok`, `not offered`, or the first line of the error. */
  readonly result: string;
  readonly detail?: string;
}

/** The outcome of {@linkcode runStory}. */
export interface Story {
  readonly observations: readonly Observation[];
  /** Undefined if `validate` failed. */
  readonly validation: ValidationReport | undefined;
  /** Undefined without replication. */
  readonly applier: "subscription" | "client" | undefined;
}

const schema = `
  CREATE TABLE customer (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL);
  CREATE TABLE orders (id serial PRIMARY KEY, customer bigint NOT NULL REFERENCES customer,
                       total numeric(12,2), placed timestamptz DEFAULT now());
  CREATE INDEX ON orders (customer);
  CREATE VIEW spent AS SELECT customer, sum(total) AS total FROM orders GROUP BY customer;
  INSERT INTO customer (name) SELECT 'customer ' || i FROM generate_series(1, 200) AS i;
  INSERT INTO orders (customer, total) SELECT 1 + i % 200, i FROM generate_series(1, 1000) AS i;`;

/** Runs the story with a database of its own; a failed step ends it, except for `cleanup`. */
export async function runStory(source: StandIn, target: StandIn, name: string): Promise<Story> {
  await source.createDatabase(name);
  if (target.hasOneDatabase) await target.createDatabase(name);
  const url = source.url(name);
  await exec(url, schema);
  // an admin role without CREATEDB connects to the only database that it has
  const targetUrl = target.url(target.hasOneDatabase ? name : "postgres");
  const pair: CutoverPair = {
    name,
    url,
    targetUrl: target.url(name),
    servers: {
      source: await endpointOf(url, "source"),
      target: await endpointOf(target.url(name), "target"),
      databases: { include: [name], exclude: [], map: {} },
    },
  };
  // what `validate` suggests: the admin role may not publish tables of the services
  const rules = source.name === "supabase" ? withoutTables(`${name}.auth.*`) : noTableRules;
  const replicates = source.name !== "heroku";
  const observations: Observation[] = [];
  let ended = false;
  const observe = async (step: Step, run: () => Promise<string | void>): Promise<void> => {
    if (ended && step !== "cleanup") return;
    try {
      observations.push({ step, result: await run() ?? "ok" });
    } catch (error) {
      ended = true;
      const [first = "", ...rest] = describeError(error);
      const remedy = error instanceof ReplicatorError ? error.remedy ?? "" : "";
      observations.push({ step, result: first, detail: [...rest, remedy].join("\n") });
    }
  };
  let validation: ValidationReport | undefined;
  await observe("validate", async () => {
    validation = await executeValidate(
      completeValidateOptions({
        source: await endpointOf(url, "source"),
        target: await endpointOf(targetUrl, "target"),
        databases: { include: [name], exclude: [], map: {} },
        tools: { dump: "embedded", binDirectory: undefined, environment: {} },
        jobs: 2,
        rules,
        forSync: replicates,
      }),
      quietRun,
    );
    const failed = validation.checks.filter(({ status }) => status === "fail");
    return failed.length === 0 ? "ok" : failed.map(({ finding }) => finding).join("; ");
  });
  await observe("init", async () => {
    const { report } = await runInit(url, targetUrl, {
      include: [name],
      jobs: 2,
      rules,
      ...(replicates ? { sync: { ...syncSettings, applyFrom: "auto" } } : {}),
    });
    const setAside = report.databases.flatMap((each) => each.setAside ?? []);
    return setAside.length === 0
      ? "ok"
      : `ok; ${setAside.length} set aside: ${
        setAside.map(({ object, reason }) => `${object}: ${reason}`).join("; ")
      }`;
  });
  if (!replicates) {
    await observe("verify", () => verify(url, target.url(name), rules));
    return { observations, validation, applier: undefined };
  }
  const applier = ended
    ? undefined
    : (await query(target.cluster.url({ database: name }), "SELECT FROM pg_subscription"))
        .length > 0
    ? "subscription"
    : "client";
  const stream = applier === "client" ? await findStream(pair) : undefined;
  const running = stream === undefined ? undefined : new RunningApplier(stream);
  try {
    await observe("sync", async () => {
      await exec(
        url,
        `INSERT INTO customer (name) VALUES ('later'); UPDATE orders SET total = total + 1;
         DELETE FROM orders WHERE id % 10 = 0`,
      );
      await until(
        target.url(name),
        `SELECT EXISTS (SELECT FROM customer WHERE name = 'later')
                AND NOT EXISTS (SELECT FROM orders WHERE id % 10 = 0) AS ok`,
      );
    });
    await observe("verify", () => verify(url, target.url(name), rules));
    // a way back needs logical decoding on the target
    const wayBack = target.name === "heroku" ? "none" : "replicate";
    await observe("prepare", () => prepareCutover(pair, { wayBack }));
    await observe("cutover", async () => {
      await switchCutover("run", pair);
      await exec(target.url(name), "INSERT INTO customer (name) VALUES ('after the cutover')");
    });
    await observe("rollback", async () => {
      if (wayBack === "none") {
        const confirm = () => Promise.resolve(true);
        await executeFinish({ ...pair.servers, openOldSide: false, confirm }, quietRun);
        return "not offered";
      }
      await switchCutover("rollback", pair);
      const [row] = await query(
        url,
        "SELECT count(*)::int AS n FROM customer WHERE name = 'after the cutover'",
      );
      return row?.["n"] === 1 ? "ok" : "the row written after the cutover is missing";
    });
  } finally {
    await running?.[Symbol.asyncDispose]();
  }
  await observe("cleanup", async () => {
    const { source: from, target: to } = pair.servers;
    await executeCleanup({
      source: from,
      target: to,
      databases: { include: [name], exclude: [] },
      checkpoints: undefined,
      confirm: () => Promise.resolve(true),
    }, quietRun);
    const [left] = await query(
      source.cluster.url({ database: name }),
      `SELECT (SELECT count(*) FROM pg_replication_slots WHERE database = current_database())
            + (SELECT count(*) FROM pg_publication) AS n`,
    );
    return Number(left?.["n"]) === 0 ? "ok" : `${left?.["n"]} slots or publications remain`;
  });
  return { observations, validation, applier };
}

async function verify(url: string, targetUrl: string, rules: TableRules): Promise<string> {
  const report = await runVerify(url, targetUrl, { rules });
  const rows = rowsVerdict(report);
  if (rows !== "equal") return `rows: ${rows}`;
  const extra = report.databases.flatMap(({ sections }) => sections)
    .flatMap(({ differences }) => differences)
    .filter(({ message }) => /only on the target/.test(message));
  return extra.length === 0 ? "ok" : `extra: ${extra.map(({ object }) => object).join(", ")}`;
}

function withoutTables(pattern: string): TableRules {
  const { rules } = readRuleFlags({
    includeTables: [],
    excludeTables: [pattern],
    schemaOnlyTables: [],
    tableFilters: [],
    timeFilters: [],
  });
  return { ...noTableRules, ...rules, now: syncSettings.now };
}

async function findStream({ url, targetUrl }: CutoverPair) {
  const [slot] = await query<{ name: string }>(
    url,
    `SELECT slot_name::text AS name FROM pg_replication_slots
      WHERE database = current_database() AND slot_type = 'logical'`,
  );
  return slot === undefined ? undefined : { name: slot.name, sourceUrl: url, targetUrl };
}
