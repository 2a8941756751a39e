/**
 * What other rooms of this repository use of `cutover`. Not part of the published interface.
 *
 * @internal
 */
export * from "./acquire_barrier.ts";
export * from "./back_stream.ts";
export * from "./barrier.ts";
export * from "./blockers.ts";
export * from "./change_fence.ts";
export * from "./client_sessions.ts";
export * from "./commit.ts";
export * from "./complete_opening.ts";
export * from "./complete_switch.ts";
export * from "./database_switch.ts";
export * from "./dismantle.ts";
export * from "./durable_pause.ts";
export * from "./facts/preflight_facts.ts";
export * from "./facts/read_facts.ts";
export * from "./facts/side_facts.ts";
export * from "./facts/stream_reading.ts";
export * from "./fence.ts";
export * from "./interrupted_switch.ts";
export * from "./large_objects.ts";
export * from "./lock.ts";
export * from "./lock_sides.ts";
export * from "./model.ts";
export * from "./open_side.ts";
export * from "./outside_keys.ts";
export * from "./own_schema.ts";
export * from "./pause_monitor.ts";
export * from "./preflight/findings.ts";
export * from "./preflight/preflight.ts";
export * from "./preflight/stream_remedies.ts";
export * from "./prepare.ts";
export * from "./privileges.ts";
export * from "./read_only_default.ts";
export * from "./read_privileges.ts";
export * from "./refusals.ts";
export * from "./rehearse.ts";
export * from "./route.ts";
export * from "./scope.ts";
export * from "./sequences.ts";
export * from "./session_fence.ts";
export * from "./statements.ts";
export * from "./switch_figures.ts";
export * from "./switch_options.ts";
export * from "./switch_over.ts";
export * from "./timeline.ts";
export * from "./token.ts";
export * from "./tripwire.ts";
export * from "./turn_streams.ts";
