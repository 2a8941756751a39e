/**
 * A copy by several workers: the coordinator, which holds the snapshot, offers its parts, and
 * helpers claim them.
 *
 * Requires `--allow-net` for the service's database and the servers of the job.
 *
 * @module
 */
export * from "./helper.ts";
export * from "./coordinator.ts";
export * from "./offer.ts";
