/**
 * Everything of a database but its rows, compared on two servers of whatever versions.
 *
 * @module
 */
export * from "./compare_structure.ts";
export * from "./difference.ts";
export type { StructureScope } from "./scope.ts";
