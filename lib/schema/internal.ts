/**
 * What other rooms of this repository use of `schema`. Not part of the published interface: see
 * `mod.ts`.
 *
 * @internal
 */
export * from "./dump_reader.ts";
export * from "./embedded_dump.ts";
export * from "./native_tools.ts";
export * from "./dump_tool.ts";
export * from "./dump_schema.ts";
export { runTool, type ToolRunOptions } from "./tool_run.ts";
export * from "./conninfo.ts";
export * from "./adaptation.ts";
export * from "./globals_model.ts";
export * from "./globals.ts";
export * from "./provider_roles.ts";
export * from "./globals_plan.ts";
export * from "./apply_globals.ts";
export * from "./post_data.ts";
export * from "./adapt_statement.ts";
export * from "./apply_schema.ts";
export * from "./mentioned_names.ts";
export * from "./set_aside.ts";
export * from "./set_aside_list.ts";
export * from "./retry_rounds.ts";
export * from "./database.ts";
export * from "./new_database.ts";
export * from "./missing_objects.ts";
export * from "./sql_cursor.ts";
