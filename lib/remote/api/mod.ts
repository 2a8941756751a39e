/**
 * The service's HTTP API.
 *
 * Requires `--allow-net` for the service's database and to listen.
 *
 * @module
 */
export * from "./app.ts";
export * from "./authenticate.ts";
export * from "./event_hub.ts";
export * from "./keys.ts";
export * from "./metrics.ts";
export * from "./serve.ts";
export type { ServiceApp } from "./routing.ts";
export * from "./service.ts";
export * from "./views.ts";
