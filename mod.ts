/**
 * Moves running PostgreSQL databases from one server to another.
 *
 * The commands ({@linkcode validate}, {@linkcode init}) take resolved options and give plain
 * reports; what stands below them can be used on its own: sessions and URLs, the copy engine, and,
 * as modules of their own, the catalog's questions (`/catalog`) and schema dumps (`/schema`). The
 * library reads no environment, prints nothing and never exits.
 *
 * Requires `--allow-net` for both servers; see `docs/guides/permissions.md` for what else each part
 * needs.
 *
 * @example Copy a database
 * ```ts no-assert ignore
 * import { ignoreEvents, init, resolveEndpoint } from "@seren/postgres-replicator";
 *
 * const report = await init({
 *   source: await resolveEndpoint("postgresql://me@old.example.com/app", { side: "source" }),
 *   target: await resolveEndpoint("postgresql://me@new.example.com/app", { side: "target" }),
 *   databases: { include: ["app"], exclude: [], map: {} },
 *   tools: { dump: "auto", binDirectory: undefined, environment: {} },
 *   jobs: 4,
 *   indexJobs: 4,
 *   copyFormat: "auto",
 *   splitBytes: 512 * 1024 * 1024,
 *   dropExisting: false,
 *   dryRun: false,
 *   confirm: (plan) => Promise.resolve(plan.databases.length === 1),
 * }, { events: ignoreEvents, signal: new AbortController().signal });
 * console.log(report?.rows);
 * ```
 *
 * @module
 */
export * from "./lib/core/mod.ts";
export * from "./lib/postgres/mod.ts";
export * from "./lib/copy/mod.ts";
export * from "./lib/commands/mod.ts";
