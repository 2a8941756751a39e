/**
 * Exports of `core` for the rest of this repository. Not part of the published API: see `mod.ts`.
 *
 * @internal
 */
export * from "./clock.ts";
export * from "./concurrency.ts";
export * from "./errors.ts";
export * from "./events.ts";
export * from "./exit_code.ts";
export * from "./identifiers.ts";
export * from "./own_schemas.ts";
export * from "./log_level.ts";
export * from "./lsn.ts";
export * from "./opaque_text.ts";
export * from "./pause.ts";
export * from "./poll.ts";
export * from "./prometheus.ts";
export * from "./quantities.ts";
export * from "./retry.ts";
export * from "./secret.ts";
export * from "./severity.ts";
export * from "./sql_tokens.ts";
export * from "./step_titles.ts";
export * from "./suggestion.ts";
export * from "./unreadable_name.ts";
export * from "./version.ts";
