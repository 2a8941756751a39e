import { isTransient } from "../../core/internal.ts";
import type { OpenAPIHono } from "@hono/zod-openapi";
import type { Context } from "hono";
import { z } from "zod";
import { issueProblems, maxBodyBytes } from "../spec/mod.ts";
import type { KeyScope } from "../keys/mod.ts";
import { type ApiKeyRow, appendAudit, takeToken } from "../store/mod.ts";
import { hasScope } from "./authenticate.ts";
import type { Actor } from "./keys.ts";
import { HttpProblem, problemResponse, problemSchema, type ProblemStatus } from "./problem.ts";
import type { ServiceParts } from "./service.ts";
import { readTrace, type Trace, traceparentOf } from "./trace.ts";

/** Information about the connection of a request. */
export interface Bindings {
  readonly address?: string | undefined;
}

/** The application that routes are added to. */
export type ServiceApp = OpenAPIHono<{ Bindings: Bindings }>;

/** An authenticated request. */
export interface Call<Params, Query> {
  readonly context: Context;
  readonly key: ApiKeyRow;
  readonly trace: Trace;
  readonly params: Params;
  readonly query: Query;
  /** The caller, for the audit trail. */
  readonly actor: Actor;
}

/** A route: its documentation, scope and handler. */
export interface Route<Params extends z.ZodObject, Query extends z.ZodObject> {
  readonly method: "get" | "post" | "delete";
  /** In OpenAPI notation: `/v1/jobs/{id}`. */
  readonly path: string;
  readonly summary: string;
  readonly scope: KeyScope;
  readonly params?: Params;
  readonly query?: Query;
  readonly headers?: z.ZodObject;
  /** The schema of the body, which the handler reads. */
  readonly body?: z.ZodType;
  readonly responses: Readonly<
    Record<
      number,
      { readonly description: string; readonly schema?: z.ZodType; readonly type?: string }
    >
  >;
  /** Error statuses besides 401, 403, 429 and 500. */
  readonly problems: readonly ProblemStatus[];
  readonly handle: (call: Call<z.output<Params>, z.output<Query>>) => Promise<Response> | Response;
}

/** Adds a route to the application and to its OpenAPI document. */
export function addRoute<
  Params extends z.ZodObject = z.ZodObject,
  Query extends z.ZodObject = z.ZodObject,
>(app: ServiceApp, parts: ServiceParts, route: Route<Params, Query>): void {
  document(app, route);
  app[route.method](route.path.replaceAll(/\{(\w+)\}/g, ":$1"), async (context) => {
    const trace = readTrace(context.req.header("traceparent"));
    const request = { context, trace, route: route.path };
    return await answering(parts, request, async (logged) => {
      const key = await parts.authenticator.authenticate(
        context.req.raw.headers,
        addressOf(context),
      );
      logged.keyPrefix = key.prefix;
      const actor: Actor = {
        actor: key.owner,
        apiKeyPrefix: key.prefix,
        traceId: trace.traceId,
        address: addressOf(context),
      };
      await limitRate(parts, key);
      if (!hasScope(key, route.scope)) {
        await parts.pool.use((session) =>
          appendAudit(session, {
            ...actor,
            action: `${route.method} ${route.path}`,
            outcome: "denied",
            details: { lacks: route.scope },
          })
        );
        throw new HttpProblem(403, `this key lacks the scope ${route.scope}`);
      }
      const params = read(route.params, context.req.param(), 404) as z.output<Params>;
      const query = read(route.query, context.req.query(), 400) as z.output<Query>;
      return await route.handle({ context, key, trace, params, query, actor });
    });
  });
}

/** The client's address; undefined if the server does not provide it. */
export function addressOf(context: Context): string | undefined {
  return (context.env as Bindings | undefined)?.address;
}

/** Answers a request whatever happens, and logs it. */
export async function answering(
  { metrics, log }: ServiceParts,
  { context, trace, route }: {
    readonly context: Context;
    readonly trace: Trace;
    readonly route: string;
  },
  work: (logged: { keyPrefix: string | undefined }) => Promise<Response>,
): Promise<Response> {
  const start = performance.now();
  const logged: { keyPrefix: string | undefined } = { keyPrefix: undefined };
  let response: Response;
  let failure: unknown;
  try {
    response = await work(logged);
  } catch (error) {
    failure = error;
    const problem = error instanceof HttpProblem
      ? error
      : isTransient(error)
      ? new HttpProblem(503, "the service's database is not available", {
        headers: { "retry-after": "2" },
      })
      : new HttpProblem(500, "internal error; see the service's log for the trace id");
    response = problemResponse(context, { problem, traceId: trace.traceId });
  }
  response.headers.set("traceparent", traceparentOf(trace));
  response.headers.set("x-content-type-options", "nosniff");
  if (!response.headers.has("cache-control")) response.headers.set("cache-control", "no-store");
  const ms = performance.now() - start;
  const line = { method: context.req.method, route, status: response.status, ms };
  metrics.observe(line);
  log({
    ...line,
    traceId: trace.traceId,
    keyPrefix: logged.keyPrefix,
    ...(response.status < 500 ? {} : { error: describeInternal(failure) }),
  });
  return response;
}

/** Describes an internal error by its origin, without anything from the request. */
function describeInternal(error: unknown): string {
  if (!(error instanceof Error)) return "unknown";
  const place = /\n\s+at .*/.exec(error.stack ?? "")?.[0].trim() ?? "";
  const state = "sqlState" in error ? ` ${String(error.sqlState)}` : "";
  return `${error.name}${state} ${place}`.trim();
}

async function limitRate({ pool }: ServiceParts, key: ApiKeyRow): Promise<void> {
  const { allowed, retryAfterSeconds } = await pool.use((session) =>
    takeToken(session, {
      apiKeyId: key.limitsId,
      kind: "requests",
      rate: key.requestsPerSecond,
      burst: key.requestBurst,
    })
  );
  if (allowed) return;
  throw new HttpProblem(429, "this key has exceeded its request rate", {
    headers: { "retry-after": String(retryAfterSeconds) },
  });
}

function read(schema: z.ZodObject | undefined, value: unknown, status: ProblemStatus): unknown {
  if (schema === undefined) return {};
  const { success, data, error } = schema.safeParse(value);
  if (success) return data;
  if (status === 404) throw new HttpProblem(404, "not found");
  throw new HttpProblem(status, "the request has unknown or invalid parameters", {
    problems: error.issues.flatMap(issueProblems),
  });
}

/** Validates the body of a request. */
export function checkBody<Schema extends z.ZodType>(
  schema: Schema,
  value: unknown,
): z.output<Schema> {
  const { success, data, error } = schema.safeParse(value);
  if (success) return data;
  throw new HttpProblem(400, "the body is not valid", {
    problems: error.issues.flatMap(issueProblems),
  });
}

function document(app: ServiceApp, route: Route<z.ZodObject, z.ZodObject>): void {
  const problems: readonly ProblemStatus[] = [401, 403, 429, ...route.problems];
  app.openAPIRegistry.registerPath({
    method: route.method,
    path: route.path,
    summary: route.summary,
    description: `Requires the scope \`${route.scope}\`.`,
    security: [{ apiKey: [] }],
    request: {
      ...(route.params === undefined ? {} : { params: route.params }),
      ...(route.query === undefined ? {} : { query: route.query }),
      ...(route.headers === undefined ? {} : { headers: route.headers }),
      ...(route.body === undefined ? {} : {
        body: {
          required: true,
          description: `At most ${maxBodyBytes} bytes`,
          content: { "application/json": { schema: route.body } },
        },
      }),
    },
    responses: {
      ...Object.fromEntries(
        Object.entries(route.responses).map(([status, { description, schema, type }]) => [status, {
          description,
          ...(schema === undefined && type === undefined ? {} : {
            content: {
              [type ?? "application/json"]: { schema: schema ?? z.string() },
            },
          }),
        }]),
      ),
      ...Object.fromEntries(problems.map((status) => [status, {
        description: "A problem",
        content: { "application/problem+json": { schema: problemSchema } },
      }])),
    },
  });
}
