/**
 * Jobs that run on a service: what a job is. The client side; the service itself is composed in the command line.
 *
 * Needs no permission.
 *
 * @module
 */
export * from "./client/mod.ts";
export * from "./spec/mod.ts";
