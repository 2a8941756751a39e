/**
 * Presentation: live progress, tables, plain and JSON log lines. Pure apart from the writer it is
 * given. Independent of commands; requires no permissions. Commands that write an HTML report load
 * its file.
 *
 * @module
 */
export * from "./bar.ts";
export { displayWidth } from "./display_width.ts";
export * from "./json_lines.ts";
export * from "./live_progress.ts";
export * from "./live_region.ts";
export * from "./pause_panel.ts";
export * from "./plain_lines.ts";
export * from "./progress_state.ts";
export * from "./progress_view.ts";
export * from "./sparkline.ts";
export * from "./style.ts";
export * from "./table.ts";
export * from "./text.ts";
export * from "./verify_report/not_checked.ts";
export * from "./watch_view.ts";
