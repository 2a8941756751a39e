/**
 * Compares everything in two databases except rows, between any supported versions.
 *
 * @module
 */
export * from "./compare_structure.ts";
export * from "./difference.ts";
export type { StructureScope } from "./scope.ts";
