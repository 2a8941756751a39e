/**
 * What other rooms of this repository use of `catalog`. Not part of the published interface: see
 * `mod.ts`.
 *
 * @internal
 */
export * from "./activity.ts";
export * from "./binary_types.ts";
export * from "./columns.ts";
export * from "./computing_functions.ts";
export * from "./databases.ts";
export * from "./database_contents.ts";
export * from "./encoding.ts";
export * from "./extension_members.ts";
export * from "./extensions.ts";
export * from "./system_identity.ts";
export * from "./intermediary.ts";
export * from "./key_bounds.ts";
export * from "./large_objects.ts";
export * from "./locales.ts";
export * from "./name_pattern.ts";
export { planningHazardOf, readPlanningHazards } from "./planning_hazards.ts";
export * from "./predicates.ts";
export * from "./privileges.ts";
export * from "./provider.ts";
export * from "./provider_names.ts";
export * from "./row_types.ts";
export * from "./select_databases.ts";
export * from "./search_path_use.ts";
export type { UnqualifiedName } from "./unqualified_names.ts";
export * from "./sequences.ts";
export * from "./source_tables.ts";
export * from "./special_objects.ts";
export * from "./tables.ts";
export * from "./unreadable_names.ts";
export * from "./work_facts.ts";
