/**
 * Starts PostgreSQL servers that are thrown away afterwards, for the demo, tests and embedded
 * storage.
 *
 * @module
 */
export * from "./cluster.ts";
export * from "./major.ts";
export { findPrograms } from "./find_programs.ts";
export type { ProgramOrigin, ServerPrograms } from "./server_programs.ts";
export { embeddedMajors } from "./embedded_programs.ts";
export { installedMajors } from "./installed_programs.ts";
export type { ServerTls } from "./server_settings.ts";
