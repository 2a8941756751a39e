import { createHmac } from "node:crypto";
import { switchingActions } from "../../config/internal.ts";
import { type Problem, UsageError } from "../../core/internal.ts";
import {
  describeEndpoint,
  type Endpoint,
  resolveEndpoint,
  type Session,
} from "../../postgres/internal.ts";
import { AddressRefusedError } from "../guard/mod.ts";
import { queueFor } from "../queue/mod.ts";
import { sealSecrets } from "../secrets/mod.ts";
import { cutoverActionOf, type JobSpec, needsCutoverScope, readJobSpec } from "../spec/mod.ts";
import {
  type ApiKeyRow,
  appendAudit,
  appendJournal,
  countJobsOfKey,
  findByIdempotencyKey,
  insertJob,
  type JobRow,
  type PublicSpec,
} from "../store/mod.ts";
import { hasScope } from "./authenticate.ts";
import { parseBody } from "./body.ts";
import { HttpProblem } from "./problem.ts";
import type { ServiceParts } from "./service.ts";

/** A request to submit a job. */
export interface Submission {
  readonly key: ApiKeyRow;
  /**
   * The key itself. It keys the digest of the request, which then reveals nothing about the body to
   * readers of the table.
   */
  readonly presentedKey: string;
  readonly body: string;
  readonly idempotencyKey: string | undefined;
  readonly traceId: string;
  readonly address: string | undefined;
}

/** A submitted job, possibly by an earlier identical request. */
export interface Submitted {
  readonly job: JobRow;
  readonly replayed: boolean;
}

/** @throws HttpProblem 400, 409, 429 */
export async function submitJob(parts: ServiceParts, submission: Submission): Promise<Submitted> {
  const { key, idempotencyKey, body, presentedKey } = submission;
  if (idempotencyKey !== undefined && !/^[\x21-\x7e]{1,128}$/.test(idempotencyKey)) {
    throw new HttpProblem(400, "idempotency-key must consist of 1 to 128 visible ASCII characters");
  }
  const requestDigest = createHmac("sha256", presentedKey).update(body).digest("base64");
  const earlier = await findEarlier(parts, { key, idempotencyKey, requestDigest });
  if (earlier !== undefined) return { job: earlier, replayed: true };
  const now = new Date().toISOString();
  const spec = checkSpec(parts, parseBody(body), now);
  if (needsCutoverScope(spec)) await requireCutoverScope(parts, spec, submission);
  const endpoints = await checkAddresses(parts, spec);
  const id = crypto.randomUUID();
  const messageId = crypto.randomUUID();
  const sealed = await sealSecrets(parts.keys, { jobId: id, secrets: spec });
  const queue = queueFor(spec.estimated_bytes);
  const timeoutSeconds = spec.timeout_seconds ?? parts.defaultTimeoutSeconds;
  const job = await parts.pool.transaction(async (session) => {
    await enforceQuota(session, key);
    const row = await insertJob(session, {
      id,
      owner: key.owner,
      apiKeyId: key.limitsId,
      queue,
      messageId,
      spec: publicSpec(spec, endpoints),
      timeoutSeconds,
      traceId: submission.traceId,
      idempotencyKey,
      requestDigest,
      sealed,
    });
    if (row === undefined) return undefined;
    await parts.queue.send(session, {
      id: messageId,
      queue,
      jobId: id,
      apiKeyId: key.limitsId,
      timeoutSeconds,
    });
    await appendJournal(session, { jobId: id }, {
      events: [{ kind: "state", state: "queued", attempt: 0 }],
      lines: [{ level: "info", message: `${spec.command} accepted, queue ${queue}` }],
    });
    await appendAudit(session, {
      actor: key.owner,
      apiKeyPrefix: key.prefix,
      action: "job.submit",
      object: id,
      outcome: "done",
      traceId: submission.traceId,
      address: submission.address,
      details: {
        command: spec.command,
        ...(spec.command === "cutover" ? { action: cutoverActionOf(spec) } : {}),
      },
    });
    return row;
  });
  if (job !== undefined) return { job, replayed: false };
  const winner = await findEarlier(parts, { key, idempotencyKey, requestDigest });
  if (winner === undefined) throw new Error("the job with this idempotency key no longer exists");
  return { job: winner, replayed: true };
}

async function findEarlier(
  { pool }: ServiceParts,
  { key, idempotencyKey, requestDigest }: {
    readonly key: ApiKeyRow;
    readonly idempotencyKey: string | undefined;
    readonly requestDigest: string;
  },
): Promise<JobRow | undefined> {
  if (idempotencyKey === undefined) return undefined;
  const found = await pool.use((session) =>
    findByIdempotencyKey(session, { apiKeyId: key.limitsId, idempotencyKey })
  );
  if (found !== undefined && found.requestDigest !== requestDigest) {
    throw new HttpProblem(
      409,
      "this idempotency key was already used with a different body or API key",
    );
  }
  return found;
}

function checkSpec(parts: ServiceParts, value: unknown, now: string): JobSpec {
  const { spec, problems } = readJobSpec(value);
  if (spec === undefined) throw refusal(problems);
  if (!parts.commands.includes(spec.command)) {
    throw refusal([{
      path: "command",
      message: `this service runs ${parts.commands.join(", ")}, not ${spec.command}`,
    }]);
  }
  // time windows are relative to now, whenever and however often a worker starts the job
  return { ...spec, rules: { ...spec.rules, now: spec.rules.now ?? now } };
}

function refusal(problems: readonly Problem[]): HttpProblem {
  return new HttpProblem(400, "the job is not valid", { problems });
}

/** @throws HttpProblem 403; the attempt is recorded in the audit trail */
async function requireCutoverScope(
  { pool }: ServiceParts,
  spec: JobSpec,
  { key, traceId, address }: Submission,
): Promise<void> {
  if (hasScope(key, "cutover")) return;
  const action = spec.command === "cutover" ? cutoverActionOf(spec) : "";
  await pool.use((session) =>
    appendAudit(session, {
      actor: key.owner,
      apiKeyPrefix: key.prefix,
      action: `cutover.${action}`,
      outcome: "denied",
      traceId,
      address,
      details: { lacks: "cutover" },
    })
  );
  throw new HttpProblem(
    403,
    `this key lacks the scope cutover, which cutover ${
      switchingActions.join(", ")
    } and a rehearsal with brownout_ms require`,
  );
}

interface Endpoints {
  readonly source: Endpoint;
  readonly target: Endpoint;
}

/** Reports early what a worker would refuse; the worker checks again. */
async function checkAddresses({ guard }: ServiceParts, spec: JobSpec): Promise<Endpoints> {
  const problems: Problem[] = [];
  const check = async (side: Endpoint["side"]): Promise<Endpoint | undefined> => {
    const path = `${side}_url`;
    try {
      const endpoint = await resolveEndpoint(spec[`${side}_url`], { side, path });
      await guard.pin(endpoint).catch((error) => {
        // a name that does not resolve here may resolve in the workers' network
        if (error instanceof AddressRefusedError) throw error;
      });
      return endpoint;
    } catch (error) {
      if (error instanceof UsageError) problems.push(...error.problems);
      else if (error instanceof AddressRefusedError) {
        problems.push({ path, message: error.message });
      } else throw error;
      return undefined;
    }
  };
  const [source, target] = await Promise.all([check("source"), check("target")]);
  if (source === undefined || target === undefined) throw refusal(problems);
  return { source, target };
}

async function enforceQuota(session: Session, key: ApiKeyRow): Promise<void> {
  // serializes the requests of a key, so that none is counted twice or missed
  await session.query(
    "SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('seren_remote quota ' || $1::pg_catalog.text, 0))",
    [key.limitsId],
  );
  const { open, today } = await countJobsOfKey(session, key.limitsId);
  if (open >= key.maxQueued) {
    throw new HttpProblem(
      429,
      `this key has ${open} jobs queued or running, its limit is ${key.maxQueued}`,
      {
        headers: { "retry-after": "30" },
      },
    );
  }
  if (today >= key.jobsPerDay) {
    throw new HttpProblem(
      429,
      `this key has submitted ${today} jobs within a day, its limit is ${key.jobsPerDay}`,
      {
        headers: { "retry-after": "3600" },
      },
    );
  }
}

function publicSpec(spec: JobSpec, { source, target }: Endpoints): PublicSpec {
  const { now: _, ...rules } = spec.rules;
  return {
    schema_version: spec.schema_version,
    command: spec.command,
    source: describeEndpoint(source),
    target: describeEndpoint(target),
    filters: spec.filters,
    options: spec.options,
    rules: Object.fromEntries(Object.entries(rules).map(([kind, list]) => [kind, list.length])),
  };
}
