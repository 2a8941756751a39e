/**
 * What people see: live progress, tables, plain and JSON lines, the HTML report. Pure but for the
 * writer it is given; knows no command and needs no permission.
 *
 * @module
 */
export * from "./bar.ts";
export * from "./html_report.ts";
export * from "./json_lines.ts";
export * from "./live_progress.ts";
export * from "./live_region.ts";
export * from "./plain_lines.ts";
export * from "./progress_state.ts";
export * from "./progress_view.ts";
export * from "./sparkline.ts";
export * from "./step_titles.ts";
export * from "./style.ts";
export * from "./table.ts";
export * from "./text.ts";
export * from "./verify_report.ts";
export * from "./watch_view.ts";
