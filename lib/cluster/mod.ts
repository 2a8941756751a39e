/**
 * Starts disposable PostgreSQL servers for the demo, the tests and `serve --embedded`. Not part of
 * the published library.
 *
 * @internal
 */
export * from "./cluster.ts";
export * from "./major.ts";
export { findPrograms } from "./find_programs.ts";
export type { ProgramOrigin, ServerPrograms } from "./server_programs.ts";
export { embeddedMajors } from "./embedded_programs.ts";
export { installedMajors } from "./installed_programs.ts";
export type { ServerTls } from "./server_settings.ts";
