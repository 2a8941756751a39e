/**
 * Continuous replication: slot, publication, subscription, and what is remembered of them.
 *
 * Requires `--allow-net` for both hosts.
 *
 * @module
 */
export * from "./applied.ts";
export * from "./applier.ts";
export * from "./conninfo.ts";
export * from "./descriptor.ts";
export * from "./drift.ts";
export * from "./hazards/mod.ts";
export * from "./identity.ts";
export * from "./lag.ts";
export * from "./monitor.ts";
export * from "./names.ts";
export * from "./obstacles.ts";
export * from "./ours.ts";
export * from "./positions.ts";
export * from "./publication.ts";
export * from "./restore_identities.ts";
export * from "./scope.ts";
export * from "./slot.ts";
export * from "./slot_snapshot.ts";
export * from "./subscription.ts";
export * from "./type_drift.ts";
export * from "./stream.ts";
export * from "./inventory.ts";
export * from "./assess.ts";
export * from "./next_transaction.ts";
export * from "./skip_transaction.ts";
export { type HarmfulSetting, readHarmfulSettings, workerSettings } from "./worker_settings.ts";
