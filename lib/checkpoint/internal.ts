/**
 * Exports of `checkpoint` for the rest of this repository. Not part of the published API: see
 * `mod.ts`.
 *
 * @internal
 */
export * from "./changed_meanwhile.ts";
export * from "./decide.ts";
export * from "./digest.ts";
export * from "./file_store.ts";
export * from "./drop_ledger.ts";
export * from "./ledger.ts";
export * from "./ledger_sql.ts";
export * from "./ledger_trust.ts";
export * from "./mixed_snapshots_error.ts";
export * from "./model.ts";
export * from "./operation.ts";
export * from "./outstanding.ts";
export * from "./read_ledger.ts";
export * from "./run_lock.ts";
export * from "./scope_difference.ts";
export * from "./source_point.ts";
export * from "./state_document.ts";
export * from "./store.ts";
export * from "./dump_structure.ts";
