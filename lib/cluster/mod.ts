/**
 * Starts PostgreSQL servers that are thrown away afterwards, for the demo, tests and embedded
 * storage.
 *
 * @module
 */
export * from "./cluster.ts";
export * from "./major.ts";
export { findPrograms, type ProgramOrigin, type ServerPrograms } from "./programs.ts";
export { embeddedMajors } from "./embedded_programs.ts";
export { installedMajors } from "./installed_programs.ts";
export type { ServerTls } from "./server_settings.ts";
