/**
 * Exports of `replication` for the rest of this repository. Not part of the published API: see
 * `mod.ts`.
 *
 * @internal
 */
export { failingRemedy } from "./progress/awaited_applier.ts";
export * from "./progress/wait_for_lsn.ts";
export * from "./applier.ts";
export * from "./open_applier.ts";
export * from "./client/apply_lock.ts";
export { useApplyOrigin } from "./client/apply_origin.ts";
export * from "./client/apply_record.ts";
export * from "./client/apply_schema.ts";
export { holdForCopy, releaseAfterCopy, ViolatedKeysError } from "./client/client_stream.ts";
export {
  hasActingObjects,
  heldTable,
  holdObjects,
  measureRestoring,
} from "./client/held_objects.ts";
export * from "./read_appliers.ts";
export * from "./subscription/subscription_conninfo.ts";
export * from "./publication/publication_comment.ts";
export * from "./drift/drift.ts";
export * from "./drift/table_drift.ts";
export * from "./drift/table_shape.ts";
export * from "./hazards/mod.ts";
export * from "./publication/replica_identity.ts";
export {
  applyErrorRemedy,
  applyRemedy,
  describeApplyError,
  explainApplyError,
  resnapshotRemedy,
} from "./progress/describe_apply_error.ts";
export * from "./progress/lag.ts";
export * from "./progress/read_source.ts";
export * from "./publication/list_owned_publications.ts";
export * from "./subscription/list_owned_subscriptions.ts";
export * from "./subscription/apply_workers.ts";
export * from "./subscription/subscribed_tables.ts";
export * from "./publication/names.ts";
export * from "./progress/diagnose_apply_error.ts";
export * from "./slot/list_owned_slots.ts";
export * from "./slot/read_slots.ts";
export * from "./slot/wal_position.ts";
export * from "./subscription/read_subscriptions.ts";
export * from "./publication/publication.ts";
export * from "./publication/restore_replica_identities.ts";
export * from "./publication/scope.ts";
export * from "./slot/slot.ts";
export * from "./slot/slot_wait.ts";
export * from "./slot/slot_snapshot.ts";
export * from "./subscription/create_subscription.ts";
export * from "./subscription/subscription.ts";
export * from "./drift/type_drift.ts";
export * from "./stream/stream.ts";
export * from "./stream/read_streams.ts";
export * from "./stream/evaluate_stream.ts";
export * from "./stream/stream_state.ts";
export * from "./progress/next_transaction.ts";
export * from "./subscription/skip_transaction.ts";
export {
  type HarmfulSetting,
  readHarmfulSettings,
  workerSettings,
} from "./subscription/worker_settings.ts";
