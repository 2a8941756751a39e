/**
 * The package with pg_dump as WebAssembly. The specifier is complete because the worker has no
 * import map; `import_map.json` names the same version. The executable has the program beside its
 * own instead (`scripts/executable`).
 */
export const embeddedDumpModule = "npm:@electric-sql/pglite-tools@0.4.8/pg_dump";
