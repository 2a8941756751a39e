/**
 * Exports of `rules` for the rest of this repository. Not part of the published API: see `mod.ts`.
 *
 * @internal
 */
export * from "./consequences.ts";
export * from "./decide.ts";
export * from "./fingerprint.ts";
export * from "./name_pattern.ts";
export * from "./predicate.ts";
export * from "./publication.ts";
export * from "./resolve.ts";
export * from "./source_tables.ts";
export * from "./table_rules.ts";
export * from "./time_window.ts";
