/**
 * `status`: the state of every stream between two servers.
 *
 * @module
 */
import { prepareEndpoints } from "../shared/prepare_endpoints.ts";
import type { RunContext } from "../shared/run.ts";
import type { StatusReport } from "./report.ts";
import { StatusMonitor, type StatusOptions } from "./status_monitor.ts";

export { checkStatus } from "./evaluate.ts";
export { prometheusMetrics } from "./prometheus.ts";
export * from "./report.ts";
export { StatusMonitor, type StatusOptions } from "./status_monitor.ts";

/** Reads the status once. See {@linkcode StatusMonitor}. */
export async function executeStatus(
  options: StatusOptions,
  context: RunContext,
): Promise<StatusReport> {
  await using monitor = new StatusMonitor(prepareEndpoints(options, context.events), context);
  return await monitor.read();
}
