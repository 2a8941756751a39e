/**
 * Exports of `config` for the rest of this repository. Not part of the published API: see `mod.ts`.
 *
 * @internal
 */
export * from "./options/choices.ts";
export * from "./options/cutover_actions.ts";
export * from "./options/defaults.ts";
export * from "./options/key_limits.ts";
export * from "./options/option.ts";
export * from "./options/table.ts";
export { logFormats } from "./options/output.ts";
// the reader itself is loaded when there is a file to read
export type * from "./read_config.ts";
export * from "./schema_problems.ts";
export * from "./variables.ts";
export * from "./write_config.ts";
