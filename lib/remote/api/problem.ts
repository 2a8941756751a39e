import type { Context } from "hono";
import { z } from "zod";
import type { Problem } from "../../core/internal.ts";

/** The response to a failed request. Source: RFC 9457, "Problem Details for HTTP APIs". */
export const problemSchema = z.object({
  type: z.string().meta({
    description: "`about:blank`: the status identifies the kind of problem",
  }),
  title: z.string(),
  status: z.int(),
  detail: z.string(),
  trace_id: z.string().meta({ description: "Identifies the request in the logs" }),
  problems: z.array(z.object({ path: z.string(), message: z.string() })).optional().meta({
    description: "All problems of the request, each with its path in the body",
  }),
});

const titles: Readonly<Record<number, string>> = {
  400: "Bad Request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not Found",
  409: "Conflict",
  413: "Content Too Large",
  415: "Unsupported Media Type",
  429: "Too Many Requests",
  500: "Internal Server Error",
  503: "Service Unavailable",
};

/** The status of a failed request. */
export type ProblemStatus = 400 | 401 | 403 | 404 | 409 | 413 | 415 | 429 | 500 | 503;

/** Fails a request with a status. */
export class HttpProblem extends Error {
  override readonly name = "HttpProblem";
  readonly status: ProblemStatus;
  readonly problems: readonly Problem[] | undefined;
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    status: ProblemStatus,
    detail: string,
    { problems, headers = {} }: {
      readonly problems?: readonly Problem[];
      readonly headers?: Readonly<Record<string, string>>;
    } = {},
  ) {
    super(detail);
    this.status = status;
    this.problems = problems;
    this.headers = headers;
  }
}

/** The response for a problem. */
export function problemResponse(
  context: Context,
  { problem, traceId }: { readonly problem: HttpProblem; readonly traceId: string },
): Response {
  const { status, message, problems, headers } = problem;
  return context.body(
    JSON.stringify({
      type: "about:blank",
      title: titles[status] ?? "Error",
      status,
      detail: message,
      trace_id: traceId,
      ...(problems === undefined ? {} : { problems }),
    }),
    status,
    { ...headers, "content-type": "application/problem+json", "cache-control": "no-store" },
  );
}
