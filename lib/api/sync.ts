import type { SyncReport } from "../commands/shared/sync_report.ts";
import { executeSync } from "../commands/sync/sync.ts";
import type { RunInput, SyncInput } from "./inputs.ts";
import { withPropertyNames } from "./property_names.ts";
import { resolveCall } from "./resolve_options.ts";

/**
 * Starts or resumes the replication that `init` prepared with `sync`, and returns when the target
 * has everything that the source had at the call. Replication then continues on the servers,
 * without this process.
 *
 * Tables are copied only if `action` asks for it.
 *
 * Requires `--allow-net` for both servers; to add tables also what {@linkcode init} needs.
 *
 * @param input two URLs; everything else has a default
 * @returns undefined when `confirm` declined
 * @throws UsageError with every problem of the input
 * @throws ReplicatorError with everything that prevents replication, of all databases at once
 *
 * @example Copy a database, then let it follow the source
 * ```ts
 * import { init, sync } from "@seren/postgres-replicator";
 *
 * const servers = {
 *   source: Deno.env.get("SOURCE_URL")!,
 *   target: Deno.env.get("TARGET_URL")!,
 *   databases: { include: ["app"] },
 * };
 * await init({ ...servers, sync: { identity: "full" } });
 * const report = await sync({ ...servers, identity: "full" });
 * for (const { source, streams } of report?.databases ?? []) {
 *   console.log(`${source} follows through ${streams.map(({ name }) => name).join(", ")}`);
 * }
 * ```
 */
export async function sync(input: SyncInput, run?: RunInput): Promise<SyncReport | undefined> {
  return await withPropertyNames(async () => {
    const { options, context } = await resolveCall("sync", { input, run });
    return await executeSync(options, context);
  });
}
