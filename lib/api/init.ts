import { executeInit } from "../commands/init/init.ts";
import type { InitReport } from "../commands/shared/init_report.ts";
import type { InitInput, RunInput } from "./inputs.ts";
import { withPropertyNames } from "./property_names.ts";
import { resolveCall } from "./resolve_options.ts";

/**
 * Copies whole databases: roles, schema, rows, large objects, indexes, foreign keys, sequences and
 * statistics, each database as of one moment.
 *
 * Nothing is changed before `confirm` agrees, and a target database that is not empty is dropped
 * only with `dropExisting`. A run that was interrupted is resumed by the same call.
 *
 * Requires `--allow-net` for both servers. With an installed `pg_dump`: `--allow-run` of it and
 * `--allow-write` of the temporary folder; with the embedded one: `--allow-read` of Deno's npm
 * cache.
 *
 * @param input two URLs; everything else has a default
 * @returns undefined when `confirm` declined, and after a dry run
 * @throws UsageError with every problem of the input
 * @throws ConnectionError when a server cannot be reached
 * @throws ReplicatorError when a prerequisite is missing or a step failed; its `exitCode` says
 * which, and its `remedy` what to do
 *
 * @example Copy a database, and show its progress
 * ```ts
 * import { init } from "@seren/postgres-replicator";
 *
 * const report = await init({
 *   source: Deno.env.get("SOURCE_URL")!,
 *   target: Deno.env.get("TARGET_URL")!,
 *   databases: { include: ["app"] },
 *   filters: { schemaOnlyTables: ["sessions"] },
 *   confirm: (plan) => plan.databases.length === 1,
 * }, {
 *   events: (event) => {
 *     if (event.kind === "table-finished") console.log(`${event.table}: ${event.rows} rows`);
 *   },
 *   signal: AbortSignal.timeout(3_600_000),
 * });
 * console.log(`${report?.rows} rows in ${report?.ms} ms`);
 * ```
 */
export async function init(input: InitInput, run?: RunInput): Promise<InitReport | undefined> {
  return await withPropertyNames(async () => {
    const { options, context } = await resolveCall("init", { input, run });
    const result = await executeInit(options, context);
    return result.kind === "copied" ? result.report : undefined;
  });
}
