import type { StatusReport } from "../commands/status/report.ts";
import { executeStatus } from "../commands/status/status.ts";
import type { RunInput, StatusInput } from "./inputs.ts";
import { withPropertyNames } from "./property_names.ts";
import { resolveCall } from "./resolve_options.ts";

/**
 * Reads once where replication stands: lag, slots, errors, drift. For a series of readings use
 * {@linkcode StatusMonitor}, which keeps its sessions.
 *
 * Requires `--allow-net` for both servers.
 *
 * @param input two URLs; everything else has a default
 * @returns a report even when a server cannot be reached: it says which
 * @throws UsageError with every problem of the input
 *
 * @example Alert on a lag of more than a minute
 * ```ts
 * import { checkStatus, status } from "@seren/postgres-replicator";
 *
 * const report = await status({
 *   source: Deno.env.get("SOURCE_URL")!,
 *   target: Deno.env.get("TARGET_URL")!,
 * });
 * const { ok } = checkStatus(report, { maxLagSeconds: 60 });
 * if (!ok) console.log(report.findings);
 * ```
 */
export async function status(input: StatusInput, run?: RunInput): Promise<StatusReport> {
  return await withPropertyNames(async () => {
    const { options, context } = await resolveCall("status", { input, run });
    return await executeStatus(options, context);
  });
}
