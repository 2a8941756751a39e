/**
 * Runs jobs: claims them, opens their secrets, keeps their leases, records what happens.
 *
 * Requires `--allow-net` for the service's database and the servers of the jobs.
 *
 * @module
 */
export type { ClaimOutcome } from "./claim_endings.ts";
export * from "./end_in_time.ts";
export * from "./maintenance.ts";
export * from "./redactor.ts";
export * from "./run_claim.ts";
export * from "./run_settings.ts";
export * from "./runner.ts";
export * from "./worker.ts";
