import { executeCleanup } from "../commands/cleanup/cleanup.ts";
import type { CleanupReport } from "../commands/cleanup/report.ts";
import type { CleanupInput, RunInput } from "./inputs.ts";
import { withPropertyNames } from "./property_names.ts";
import { resolveCall } from "./resolve_options.ts";

/**
 * Removes what the tool created on both servers: subscriptions, slots, publications, replica
 * identities that it changed, records of copies. Rows stay, and so does everything that the tool
 * does not own.
 *
 * An object that cannot be removed does not stop the others, and neither does a server that cannot
 * be reached: the report lists both. Calling it again removes what is left.
 *
 * Requires `--allow-net` for both servers; with `checkpoint` in files also `--allow-read` and
 * `--allow-write` of their folder. On the servers: a role that owns the objects, with REPLICATION
 * on the source.
 *
 * @param input two URLs; everything else has a default
 * @returns undefined when `confirm` declined
 * @throws UsageError with every problem of the input
 * @throws ConnectionError when neither server can be reached
 * @throws ReplicatorError while an `init` is running
 *
 * @example Remove all traces of a migration
 * ```ts
 * import { cleanup } from "@seren/postgres-replicator";
 *
 * const report = await cleanup({
 *   source: Deno.env.get("SOURCE_URL")!,
 *   target: Deno.env.get("TARGET_URL")!,
 *   confirm: ({ items }) => {
 *     for (const { kind, name } of items) console.log(`removes ${kind} ${name}`);
 *     return true;
 *   },
 * });
 * console.log(`${report?.removed.length} removed, ${report?.failed.length} failed`);
 * ```
 */
export async function cleanup(
  input: CleanupInput,
  run?: RunInput,
): Promise<CleanupReport | undefined> {
  return await withPropertyNames(async () => {
    const { options, context } = await resolveCall("cleanup", { input, run });
    const result = await executeCleanup(options, context);
    return result.kind === "removed" ? result.report : undefined;
  });
}
