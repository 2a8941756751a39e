/**
 * Compares everything in two databases except rows, between any supported versions.
 *
 * @module
 */
export * from "./compare_structure.ts";
export * from "./difference.ts";
export { findMissingStatistics } from "./missing_statistics.ts";
export type { StructureScope } from "./scope.ts";
