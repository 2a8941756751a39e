/**
 * What a job is, and what is refused: shared by client and service. Needs no permission.
 *
 * @module
 */
export * from "./connection_url.ts";
export * from "./job.ts";
export * from "./job_spec.ts";
export * from "./job_state.ts";
export * from "./read_spec.ts";
export * from "./rules.ts";
