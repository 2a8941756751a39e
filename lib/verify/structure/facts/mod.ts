/**
 * Everything compared besides rows, from the database down to its parts.
 *
 * @module
 */
export * from "./fact_source.ts";
export * from "./fact_sources.ts";
