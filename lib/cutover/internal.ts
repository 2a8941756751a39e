/**
 * What other rooms of this repository use of `cutover`. Not part of the published interface.
 *
 * @internal
 */
export * from "./back_stream.ts";
export * from "./barrier.ts";
export * from "./blockers.ts";
export * from "./database_switch.ts";
export * from "./dismantle.ts";
export * from "./fence.ts";
export * from "./lock.ts";
export * from "./model.ts";
export * from "./own_schema.ts";
export * from "./preflight.ts";
export * from "./prepare.ts";
export * from "./read_facts.ts";
export * from "./rehearse.ts";
export * from "./sequences.ts";
export * from "./statements.ts";
export * from "./switch_over.ts";
export * from "./token.ts";
export * from "./tripwire.ts";
