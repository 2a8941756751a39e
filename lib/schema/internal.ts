/**
 * Exports of `schema` for the rest of this repository. Not part of the published API: see `mod.ts`.
 *
 * @internal
 */
export * from "./parse/dump_reader.ts";
export * from "./parse/dump_sections.ts";
export * from "./dump/embedded_dump.ts";
export * from "./dump/embedded_dump_module.ts";
export * from "./dump/native_tools.ts";
export * from "./dump/dump_tool.ts";
export * from "./dump/dump_schema.ts";
export { runTool, type ToolRunOptions } from "./dump/tool_run.ts";
export * from "./dump/conninfo.ts";
export * from "./apply/adaptation.ts";
export * from "./globals/model.ts";
export * from "./globals/globals.ts";
export * from "./globals/provider_roles.ts";
export * from "./globals/plan.ts";
export * from "./globals/apply_globals.ts";
export * from "./parse/post_data.ts";
export * from "./apply/adapt_statement.ts";
export * from "./apply/apply_options.ts";
export * from "./apply/apply_schema.ts";
export * from "./apply/schema_error.ts";
export * from "./parse/mentioned_names.ts";
export * from "./apply/set_aside.ts";
export * from "./apply/set_aside_list.ts";
export * from "./apply/retry_rounds.ts";
export * from "./database/database.ts";
export * from "./database/new_database.ts";
export * from "./apply/missing_objects.ts";
export * from "./parse/sql_cursor.ts";
