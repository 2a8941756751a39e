/**
 * Jobs that run on a service: their specification, and a client that submits and follows them. The
 * service itself consists of the commands `serve` and `worker`.
 *
 * Requires `--allow-net` for the service's host only.
 *
 * @example Run a job
 * ```ts ignore
 * import { RemoteClient } from "@seren/postgres-replicator/remote";
 *
 * const client = new RemoteClient({
 *   url: "https://jobs.example.com",
 *   apiKey: Deno.env.get("SEREN_API_KEY") ?? "",
 *   signal: AbortSignal.timeout(3_600_000),
 *   traceId: crypto.getRandomValues(new Uint8Array(16)).toHex(),
 * });
 * const { id } = await client.submit({
 *   schema_version: "1.0",
 *   command: "init",
 *   source_url: "postgresql://me:secret@old.example.com/app",
 *   target_url: "postgresql://me:secret@new.example.com/app",
 *   filters: { include_databases: ["app"] },
 *   options: { jobs: 8 },
 * });
 * for await (const message of client.follow(id)) {
 *   if (message.kind === "run") console.log(message.event);
 * }
 * const { state, exit_code, result } = await client.job(id);
 * console.log(state, exit_code, result);
 * ```
 *
 * @example Validate a job before it is submitted
 * ```ts
 * import { readJobSpec } from "@seren/postgres-replicator/remote";
 * import { deepStrictEqual } from "node:assert/strict";
 *
 * const { problems } = readJobSpec({
 *   schema_version: "1.0",
 *   command: "validate",
 *   source_url: "postgresql://me@old.example.com/app; DROP TABLE users;",
 *   target_url: "postgresql://me@new.example.com/app",
 * });
 * deepStrictEqual(problems.map(({ path }) => path), ["source_url"]);
 * ```
 *
 * @module
 */
export * from "./client/mod.ts";
export * from "./spec/connection_url.ts";
export * from "./spec/job.ts";
export * from "./spec/job_state.ts";
export { readJobSpec, type SpecReading } from "./spec/read_spec.ts";
export * from "./spec/rules.ts";
