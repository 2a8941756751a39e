/**
 * What will stop replication later, or let the target differ, found on the source before anything
 * is copied.
 *
 * Only reads catalogs: no user code runs.
 *
 * @module
 */
export { type FiringTrigger, readFiringTriggers } from "./always_triggers.ts";
export { findHazards, type HazardInput } from "./find_hazards.ts";
export type { Hazard } from "./hazard.ts";
export type { ChangeActor } from "./owner_rights.ts";
export { findRoleRights } from "./role_rights.ts";
