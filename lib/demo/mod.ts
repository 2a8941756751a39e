/**
 * The shop that `demo` moves, and the people who go on buying in it meanwhile.
 *
 * @module
 */
export * from "./load.ts";
export * from "./shop.ts";
