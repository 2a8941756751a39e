import type { SessionPool } from "../../postgres/internal.ts";
import { textArray } from "../../postgres/internal.ts";
import { beginAttempt, type JobRow } from "../store/mod.ts";
import type { JobQueue, Message } from "./job_queue.ts";
import { type QueueName, queueNames } from "./resource_class.ts";

/** A job claimed by this worker. */
export interface Claim {
  readonly message: Message;
  readonly job: JobRow;
  /** The worker that had claimed it before and was lost. */
  readonly lostWorker?: string;
}

/** Settings of {@linkcode claimJob}. */
export interface ClaimOptions {
  readonly worker: string;
  /** In order of preference. */
  readonly queues: readonly QueueName[];
  /** Maximum number of concurrent jobs on all workers together. */
  readonly maxRunning: number;
}

/**
 * Serializes claims, so that concurrent workers cannot exceed a limit together.
 */
const claimLock = "7237101459133720043";

/**
 * Claims a job. Keys with queued jobs that are below their limit take turns, so that a key with a
 * thousand queued jobs does not delay a key with one.
 *
 * @returns undefined if there is no job to claim
 */
export async function claimJob(
  pool: SessionPool,
  queue: JobQueue,
  options: ClaimOptions,
): Promise<Claim | undefined> {
  return await pool.transaction(async (session) => {
    await session.query("SELECT pg_catalog.pg_advisory_xact_lock($1::bigint)", [claimLock]);
    // only the table of pg-boss shows what is claimed and what is waiting for a retry
    const keys = await session.query<WaitingKey>(
      // each part can use an index of pg-boss that excludes finished messages, which are kept for a
      // week
      `WITH running AS (
         SELECT group_id, pg_catalog.count(*) AS count FROM seren_remote_queue.job
          WHERE name = ANY ($1::pg_catalog.text[]) AND state = 'active' AND group_id IS NOT NULL
          GROUP BY group_id
       ), waiting AS (
         SELECT DISTINCT group_id FROM seren_remote_queue.job
          WHERE name = ANY ($2::pg_catalog.text[]) AND state < 'active' AND NOT blocked AND start_after <= pg_catalog.now()
       )
       SELECT key.id,
              coalesce(running.count, 0) < key.most_running AS "belowLimit",
              (SELECT coalesce(pg_catalog.sum(count), 0) FROM running)::int AS total
         FROM waiting
         JOIN seren_remote.api_keys AS key ON key.id::pg_catalog.text = waiting.group_id
         LEFT JOIN running ON running.group_id = waiting.group_id
        ORDER BY key.last_claim_at NULLS FIRST, key.id`,
      [textArray(queueNames), textArray(options.queues)],
    );
    if ((keys[0]?.total ?? 0) >= options.maxRunning) return undefined;
    for (const { id } of keys.filter(({ belowLimit }) => belowLimit)) {
      const ignoredKeys = keys.map((key) => key.id).filter((other) => other !== id);
      for (const name of options.queues) {
        const message = await queue.fetch(session, { queue: name, ignoredKeys });
        if (message === undefined) continue;
        await session.query(
          "UPDATE seren_remote.api_keys SET last_claim_at = pg_catalog.clock_timestamp() WHERE id = $1::pg_catalog.text::pg_catalog.uuid",
          [id],
        );
        const begun = await beginAttempt(session, { id: message.jobId, worker: options.worker });
        if (begun !== undefined) return { message, ...begun };
        await queue.complete(session, message); // the job has already ended
      }
    }
    return undefined;
  });
}

interface WaitingKey {
  readonly id: string;
  readonly belowLimit: boolean;
  readonly total: number;
}
