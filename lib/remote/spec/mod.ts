/**
 * The specification of a job and its validation, shared by client and service. Requires no
 * permissions.
 *
 * @module
 */
export * from "./cancel_text.ts";
export * from "./connection_url.ts";
export * from "./cutover_job.ts";
export * from "./job.ts";
export * from "./job_spec.ts";
export * from "./job_state.ts";
export * from "./read_spec.ts";
export * from "./rules.ts";
