/**
 * The database of an online shop that `demo` migrates, and the write load on it. Not part of the
 * published library.
 *
 * @internal
 */
export * from "./load.ts";
export * from "./shop.ts";
