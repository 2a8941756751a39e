import { type Session, textArray } from "../../postgres/internal.ts";

/** What a worker reports about itself. */
export interface WorkerReport {
  readonly name: string;
  readonly queues: readonly string[];
  readonly concurrency: number;
  readonly running: number;
  readonly draining: boolean;
}

/** Registers a worker, or updates its registration. */
export async function reportWorker(session: Session, worker: WorkerReport): Promise<void> {
  await session.query(
    `INSERT INTO seren_remote.workers (name, queues, concurrency, running, draining)
     VALUES ($1::pg_catalog.text, $2::pg_catalog.text[], $3::int, $4::int, $5::boolean)
     ON CONFLICT (name) DO UPDATE
        SET queues = excluded.queues, concurrency = excluded.concurrency, running = excluded.running,
            draining = excluded.draining, seen_at = pg_catalog.now()`,
    [worker.name, textArray(worker.queues), worker.concurrency, worker.running, worker.draining],
  );
}

/** Removes a worker that has shut down. */
export async function removeWorker(session: Session, name: string): Promise<void> {
  await session.query("DELETE FROM seren_remote.workers WHERE name = $1::pg_catalog.text", [name]);
}

/** Removes workers that have not reported for a day. */
export async function removeStaleWorkers(session: Session): Promise<void> {
  await session.query(
    "DELETE FROM seren_remote.workers WHERE seen_at < pg_catalog.now() - interval '1 day'",
  );
}
