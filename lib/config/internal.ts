/**
 * What other rooms of this repository use of `config`. Not part of the published interface: see
 * `mod.ts`.
 *
 * @internal
 */
export * from "./read_config.ts";
export * from "./variables.ts";
export * from "./write_config.ts";
