/**
 * Exports of `apply` for the rest of this repository. Not part of the published API.
 *
 * @internal
 */
export * from "./apply_changes.ts";
export * from "./options.ts";
export { ChangeRefusedError } from "./explain.ts";
export { StreamInUseError } from "./run_stream.ts";
