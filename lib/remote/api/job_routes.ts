import { z } from "zod";
import { isFinal, isSwitchingJob, jobCommands, jobSpecSchema, jobStates } from "../spec/mod.ts";
import {
  appendAudit,
  appendJournal,
  findJob,
  finishJob,
  type JobRow,
  listJobs,
  readLogs,
  readLogsBefore,
  readResult,
  requestCancellation,
} from "../store/mod.ts";
import { hasScope } from "./authenticate.ts";
import { readBody } from "./body.ts";
import { eventStream } from "./event_stream.ts";
import { HttpProblem } from "./problem.ts";
import { addRoute, type Call, type ServiceApp } from "./routing.ts";
import type { ServiceParts } from "./service.ts";
import { submitJob } from "./submit.ts";
import { jobSchema, jobView, logSchema } from "./views.ts";
import { ExitCode } from "../../core/internal.ts";

const byId = z.object({ id: z.uuid() });
const whole = (min: number, max: number, fallback: number) =>
  z.coerce.number().int().min(min).max(max).default(fallback);
const number = z.coerce.number().int().min(0);

/** Maximum number of concurrent streams of a key on one instance. */
const maxStreams = 50;

/** The user whose jobs a key may see; undefined for an admin, who may see all. */
function ownerOf({ key }: Pick<Call<unknown, unknown>, "key">): string | undefined {
  return hasScope(key, "admin") ? undefined : key.owner;
}

/** Another user's job is reported as not found. */
async function ownJob(
  { pool }: ServiceParts,
  call: Call<{ readonly id: string }, unknown>,
): Promise<JobRow> {
  const job = await pool.use((session) =>
    findJob(session, call.params.id, { owner: ownerOf(call) })
  );
  if (job === undefined) throw noJob();
  return job;
}

function noJob(): HttpProblem {
  return new HttpProblem(404, "the job does not exist");
}

/** `/v1/jobs`. */
export function addJobRoutes(app: ServiceApp, parts: ServiceParts): void {
  const streams = new Map<string, number>();

  addRoute(app, parts, {
    method: "post",
    path: "/v1/jobs",
    summary: "Submit a job",
    scope: "jobs:write",
    headers: z.object({
      "idempotency-key": z.string().max(128).optional().meta({
        description: "Repeating a request with the same key and body returns the same job",
      }),
    }),
    body: jobSpecSchema,
    responses: {
      201: { description: "The job was accepted", schema: jobSchema },
      200: { description: "The job was accepted earlier, by the same request", schema: jobSchema },
    },
    problems: [400, 409, 413, 415],
    async handle({ context, key, trace, actor }) {
      const { job, replayed } = await submitJob(parts, {
        key,
        presentedKey: context.req.header("x-api-key") ?? context.req.header("authorization") ?? "",
        body: await readBody(context.req.raw),
        idempotencyKey: context.req.header("idempotency-key"),
        traceId: trace.traceId,
        address: actor.address,
      });
      return context.json(jobView(job), replayed ? 200 : 201, {
        location: `/v1/jobs/${job.id}`,
        ...(replayed ? { "idempotent-replayed": "true" } : {}),
      });
    },
  });

  addRoute(app, parts, {
    method: "get",
    path: "/v1/jobs",
    summary: "List jobs, newest first",
    scope: "jobs:read",
    query: z.strictObject({
      state: z.enum(jobStates).optional(),
      command: z.enum(jobCommands).optional(),
      limit: whole(1, 200, 50),
      after: z.uuid().optional().meta({ description: "Start after this job" }),
      owner: z.string().optional().meta({ description: "Only jobs of this user; for admins" }),
    }),
    responses: {
      200: { description: "Jobs", schema: z.object({ jobs: z.array(jobSchema) }) },
    },
    problems: [400],
    async handle({ context, key, query }) {
      const owner = hasScope(key, "admin") ? query.owner : key.owner;
      const jobs = await parts.pool.use((session) =>
        listJobs(session, {
          owner,
          state: query.state,
          command: query.command,
          limit: query.limit,
          after: query.after,
        })
      );
      return context.json({ jobs: jobs.map(jobView) });
    },
  });

  addRoute(app, parts, {
    method: "get",
    path: "/v1/jobs/{id}",
    summary: "Get a job, with its report once it has ended",
    scope: "jobs:read",
    params: byId,
    responses: {
      200: { description: "The job", schema: jobSchema.extend({ result: z.unknown() }) },
    },
    problems: [404],
    async handle(call) {
      const job = await ownJob(parts, call);
      const result = isFinal(job.state)
        ? await parts.pool.use((session) => readResult(session, job.id))
        : null;
      return call.context.json({ ...jobView(job), result });
    },
  });

  addRoute(app, parts, {
    method: "post",
    path: "/v1/jobs/{id}/cancel",
    summary: "Cancel a job",
    scope: "jobs:write",
    params: byId,
    responses: {
      202: {
        description: "The job is being cancelled, or has ended; see its state",
        schema: jobSchema,
      },
    },
    problems: [404, 409],
    async handle(call) {
      await ownJob(parts, call);
      const job = await cancelJob(parts, call);
      return call.context.json(jobView(job), 202);
    },
  });

  addRoute(app, parts, {
    method: "get",
    path: "/v1/jobs/{id}/logs",
    summary: "Read a job's log",
    scope: "jobs:read",
    params: byId,
    query: z.strictObject({
      after: number.default(0),
      before: number.optional().meta({
        description: "The last lines before this number, instead of the first after `after`",
      }),
      limit: whole(1, 1000, 200),
    }),
    responses: {
      200: { description: "Lines", schema: z.object({ lines: z.array(logSchema) }) },
    },
    problems: [400, 404],
    async handle(call) {
      const { id } = await ownJob(parts, call);
      const { before, after, limit } = call.query;
      const lines = await parts.pool.use((session) =>
        before === undefined
          ? readLogs(session, { jobId: id, after, limit })
          : readLogsBefore(session, { jobId: id, before, limit })
      );
      return call.context.json({
        lines: lines.map((line) => ({ ...line, at: line.at.toISOString() })),
      });
    },
  });

  addRoute(app, parts, {
    method: "get",
    path: "/v1/jobs/{id}/events",
    summary: "Follow a job's events, as server-sent events, until it has ended",
    scope: "jobs:read",
    params: byId,
    query: z.strictObject({
      after: number.optional().meta({
        description: "The number of the last event already received",
      }),
    }),
    headers: z.object({ "last-event-id": z.string().optional() }),
    responses: { 200: { description: "Events: state, run, end", type: "text/event-stream" } },
    problems: [400, 404],
    async handle(call) {
      const { context, key } = call;
      const job = await ownJob(parts, call);
      const header = context.req.header("last-event-id");
      const last = header === undefined ? undefined : number.safeParse(header);
      if (last?.success === false) throw new HttpProblem(400, "last-event-id is not a number");
      const open = streams.get(key.id) ?? 0;
      if (open >= maxStreams) {
        throw new HttpProblem(429, `this key has ${open} open event streams`, {
          headers: { "retry-after": "5" },
        });
      }
      streams.set(key.id, open + 1);
      const stream = eventStream({
        ...parts,
        job,
        after: last?.data ?? call.query.after ?? 0,
        onClose: () => streams.set(key.id, (streams.get(key.id) ?? 1) - 1),
      });
      return new Response(stream, {
        headers: {
          "content-type": "text/event-stream",
          "cache-control": "no-store",
          "x-accel-buffering": "no",
        },
      });
    },
  });
}

/** Ends a queued job; a running job is ended by its worker. */
async function cancelJob(
  { pool, queue }: ServiceParts,
  { params: { id }, actor, key }: Call<{ readonly id: string }, unknown>,
): Promise<JobRow> {
  return await pool.transaction(async (session) => {
    const job = await requestCancellation(session, id);
    if (job === undefined) throw noJob();
    if (isFinal(job.state) && job.state !== "cancelled") {
      throw new HttpProblem(409, `the job has already ended: ${job.state}`);
    }
    // a switch that was begun may have closed both sides: a worker completes or abandons it
    const isBegun = job.attempt > 0 && isSwitchingJob(job.spec);
    if (job.state === "queued" && !isBegun) {
      await queue.cancel(session, job);
      const error = {
        message: `cancelled by ${key.owner}`,
        side: null,
        object: null,
        remedy: null,
        details: [],
      };
      const exitCode = ExitCode.interrupted;
      await finishJob(session, { jobId: id, outcome: { state: "cancelled", exitCode, error } });
      await appendJournal(session, { jobId: id }, {
        events: [{
          kind: "state",
          state: "cancelled",
          attempt: job.attempt,
          exit_code: exitCode,
          reason: error.message,
        }],
        lines: [{ level: "info", message: error.message }],
      });
    }
    await appendAudit(session, { ...actor, action: "job.cancel", object: id, outcome: "done" });
    return await findJob(session, id) ?? job;
  });
}
