/**
 * Exports of `catalog` for the rest of this repository. Not part of the published API: see
 * `mod.ts`.
 *
 * @internal
 */
export * from "./server/activity.ts";
export * from "./tables/binary_types.ts";
export * from "./tables/columns.ts";
export * from "./expressions/computing_functions.ts";
export * from "./databases/databases.ts";
export * from "./databases/database_contents.ts";
export * from "./databases/encoding.ts";
export * from "./extension_members.ts";
export * from "./databases/extensions.ts";
export * from "./server/system_identity.ts";
export * from "./server/intermediary.ts";
export * from "./tables/key_bounds.ts";
export * from "./databases/large_objects.ts";
export * from "./server/locales.ts";
export * from "./databases/name_pattern.ts";
export { planningHazardOf, readPlanningHazards } from "./expressions/planning_hazards.ts";
export * from "./expressions/predicates.ts";
export * from "./server/privileges.ts";
export * from "./providers/profile.ts";
export * from "./providers/profiles.ts";
export * from "./server/provider.ts";
export * from "./server/toast_compression.ts";
export * from "./server/provider_names.ts";
export * from "./server/provider_schemas.ts";
export * from "./tables/row_types.ts";
export * from "./databases/select_databases.ts";
export * from "./expressions/search_path_use.ts";
export type { UnqualifiedName } from "./expressions/unqualified_names.ts";
export * from "./tables/planner_statistics.ts";
export * from "./tables/sequences.ts";
export * from "./tables/source_tables.ts";
export * from "./databases/special_objects.ts";
export { collationOrder } from "./tables/statistics_sql.ts";
export * from "./tables/statistics_outlook.ts";
export * from "./tables/tables.ts";
export * from "./databases/unreadable_names.ts";
export * from "./databases/work_facts.ts";
