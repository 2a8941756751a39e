/**
 * Which tables move and which of their rows: filters and table rules as one pure model that every
 * phase asks.
 *
 * Needs no permission.
 *
 * @module
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
