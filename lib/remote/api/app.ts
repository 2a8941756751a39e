import { OpenAPIHono } from "@hono/zod-openapi";
import type { Context } from "hono";
import { printMetrics, prometheusContentType } from "../../core/internal.ts";
import { addAdminRoutes } from "./admin_routes.ts";
import { requireScope } from "./authenticate.ts";
import { addJobRoutes } from "./job_routes.ts";
import { eventStreamMetric, readDatabaseMetrics } from "./metrics.ts";
import { HttpProblem } from "./problem.ts";
import { addressOf, answering, type Bindings, type ServiceApp } from "./routing.ts";
import type { ServiceParts } from "./service.ts";
import { readTrace } from "./trace.ts";
import { hasUnstorableText } from "./unstorable_text.ts";

/** The service as a function from requests to responses. */
export function makeApp(parts: ServiceParts): ServiceApp {
  const app: ServiceApp = new OpenAPIHono<{ Bindings: Bindings }>();
  app.openAPIRegistry.registerComponent("securitySchemes", "apiKey", {
    type: "apiKey",
    in: "header",
    name: "x-api-key",
  });
  app.use(
    "*",
    (context, next) =>
      hasUnstorableText(new URL(context.req.url)) ? unreadable(parts, context) : next(),
  );
  for (const path of ["/v1/*", "/metrics"]) {
    app.use(path, (context, next) => parts.isReady() ? next() : notYet(parts, context));
  }
  addJobRoutes(app, parts);
  addAdminRoutes(app, parts);
  addOpenRoutes(app, parts);
  app.notFound((context) =>
    answering(
      parts,
      { context, trace: readTrace(context.req.header("traceparent")), route: "(none)" },
      () => Promise.reject(new HttpProblem(404, "not found")),
    )
  );
  return app;
}

/** Rejects a path or query that is not storable text. */
function unreadable(parts: ServiceParts, context: Context): Promise<Response> {
  const trace = readTrace(context.req.header("traceparent"));
  return answering(parts, { context, trace, route: "(unreadable)" }, () =>
    Promise.reject(
      new HttpProblem(400, "the URL must be percent-encoded UTF-8 without NUL characters"),
    ));
}

/** Rejects requests that need the database until it is first available. */
function notYet(parts: ServiceParts, context: Context): Promise<Response> {
  const trace = readTrace(context.req.header("traceparent"));
  return answering(parts, { context, trace, route: "(not ready)" }, () =>
    Promise.reject(
      new HttpProblem(503, "the service is waiting for its database", {
        headers: { "retry-after": "2" },
      }),
    ));
}

/** Routes for monitoring and tools, without user data. */
function addOpenRoutes(app: ServiceApp, parts: ServiceParts): void {
  app.get("/healthz", (context) => context.json({ status: "ok", version: parts.version }));
  app.get("/readyz", async (context) => {
    if (!parts.isReady()) return context.json({ status: "waiting for the database" }, 503);
    try {
      await parts.pool.use((session) => session.query("SELECT 1"));
      return context.json({ status: "ok" });
    } catch {
      return context.json({ status: "the database is not available" }, 503);
    }
  });
  app.get("/metrics", (context) => {
    const trace = readTrace(context.req.header("traceparent"));
    return answering(parts, { context, trace, route: "/metrics" }, async (logged) => {
      if (!parts.openMetrics) {
        const key = await parts.authenticator.authenticate(
          context.req.raw.headers,
          addressOf(context),
        );
        logged.keyPrefix = key.prefix;
        requireScope(key, "metrics:read");
      }
      const metrics = await parts.pool.use((session) => readDatabaseMetrics(session));
      const text = printMetrics([
        ...metrics,
        eventStreamMetric(parts.hub.size),
        parts.metrics.metric(),
      ]);
      return context.body(text, 200, { "content-type": prometheusContentType });
    });
  });
  app.get("/v1/openapi.json", (context) =>
    context.json(app.getOpenAPI31Document({
      openapi: "3.1.0",
      info: {
        title: "postgres-seren-replicator",
        version: parts.version,
        description:
          "Runs migrations of PostgreSQL databases as jobs. Errors are application/problem+json.",
      },
    })));
}
