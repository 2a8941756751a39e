import { applySchemaStatements } from "../../lib/replication/client/apply_schema.ts";
import { applyChanges, type ApplyChangesOptions } from "../../lib/apply/internal.ts";
import { replicationName } from "./replication.ts";
import { endpointOf } from "./init.ts";
import { exec, query } from "./sql.ts";

/** A publication, a slot, and the record of a stream, created with plain SQL as the tool does. */
export interface ClientStream {
  readonly name: string;
  readonly sourceUrl: string;
  readonly targetUrl: string;
}

/** Publishes all tables of the source, and lists those of the target in the record. */
export async function createClientStream(
  sourceUrl: string,
  targetUrl: string,
  { name = replicationName() }: { readonly name?: string } = {},
): Promise<ClientStream> {
  await query(sourceUrl, `CREATE PUBLICATION "${name}" FOR ALL TABLES`);
  const [slot] = await query<{ lsn: string }>(
    sourceUrl,
    "SELECT lsn::text AS lsn FROM pg_create_logical_replication_slot($1, 'pgoutput')",
    [name],
  );
  await exec(targetUrl, `BEGIN; ${applySchemaStatements.join(";\n")}; COMMIT`);
  await query(
    targetUrl,
    "INSERT INTO seren_apply.stream (name, enabled, comment, slot_name, end_lsn) VALUES ($1, true, '{}', $1, $2::text::pg_lsn)",
    [name, slot!.lsn],
  );
  await listTables({ name, sourceUrl, targetUrl });
  return { name, sourceUrl, targetUrl };
}

const tableStatement = `
  SELECT n.nspname AS schema, c.relname AS name
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
   WHERE c.relkind = 'r' AND n.nspname !~ '^(pg_|information_schema|seren)'`;

/**
 * Lists the tables of both sides in the record, as the tool does: partitions, but not their
 * parents.
 */
export async function listTables({ name, sourceUrl, targetUrl }: ClientStream): Promise<void> {
  for (const url of [sourceUrl, targetUrl]) {
    const tables = await query<{ schema: string; name: string }>(url, tableStatement);
    await query(
      targetUrl,
      `INSERT INTO seren_apply.stream_table
       SELECT $1, t.schema, t.name FROM json_to_recordset($2::text::json) AS t (schema text, name text)
       ON CONFLICT DO NOTHING`,
      [name, JSON.stringify(tables)],
    );
  }
}

/** An applier in this process, until it is disposed of. */
export class RunningApplier implements AsyncDisposable {
  readonly #end = new AbortController();
  /** Messages of events. */
  readonly messages: string[] = [];
  /** Resolves when the stream is stopped, rejects when a change cannot be applied. */
  readonly ended: Promise<void>;

  constructor(stream: ClientStream, options: Partial<ApplyChangesOptions> = {}) {
    this.ended = this.#run(stream, options);
    this.ended.catch(() => {});
  }

  async #run(stream: ClientStream, options: Partial<ApplyChangesOptions>): Promise<void> {
    await applyChanges({
      source: await endpointOf(stream.sourceUrl, "source"),
      target: await endpointOf(stream.targetUrl, "target"),
      name: stream.name,
      signal: this.#end.signal,
      events: (event) => {
        if ("message" in event) this.messages.push(event.message);
      },
      ...options,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#end.abort();
    await this.ended.catch(() => {});
  }
}

/** Drops publication and slot. */
export async function endClientStream({ name, sourceUrl }: ClientStream): Promise<void> {
  await query(sourceUrl, `DROP PUBLICATION IF EXISTS "${name}"`);
  await query(
    sourceUrl,
    `SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = $1 AND active`,
    [name],
  );
  for (let attempt = 0;; attempt++) {
    try {
      await query(
        sourceUrl,
        "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1",
        [name],
      );
      return;
    } catch (error) {
      if (attempt > 100) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}
