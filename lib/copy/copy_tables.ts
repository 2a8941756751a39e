/**
 * The rows of many tables, by several workers at once, all under one snapshot.
 *
 * @module
 */
import { displayName, type EventSink, runConcurrently } from "../core/mod.ts";
import {
  type CopyJob,
  type Endpoint,
  importSnapshot,
  openSession,
  relayCopies,
  retry,
  type SnapshotHolder,
} from "../postgres/mod.ts";
import type { Table } from "../catalog/mod.ts";
import { copyInStatement, copyOutStatement } from "./copy_statements.ts";

/** What is copied, from where, and who is told. */
export interface CopyTablesOptions {
  readonly source: Endpoint;
  readonly target: Endpoint;
  readonly snapshot: SnapshotHolder;
  readonly tables: readonly Table[];
  /** Encoding of the source database. */
  readonly encoding: string;
  /** Tables copied at once: sessions on each side. */
  readonly jobs: number;
  readonly signal: AbortSignal;
  readonly events: EventSink;
  /** Called when a table's rows are committed on the target. */
  readonly onCopied?: (copied: CopiedTableRows) => void;
}

/** A table whose rows are committed on the target. */
export interface CopiedTableRows {
  readonly table: Table;
  readonly rows: number;
  /** COPY bytes, framing included. */
  readonly bytes: number;
  readonly ms: number;
}

interface TableJob extends CopyJob {
  readonly table: Table;
}

/**
 * Copies the rows of all tables, the largest first so that none is left to run alone at the end.
 *
 * The first error ends all workers; what was not committed is rolled back and no session stays behind.
 *
 * Requires `--allow-net` for both hosts.
 *
 * @throws ServerError with the table, the side and the server's context (line and column), ConnectionError when a server went away
 */
export async function copyTables(options: CopyTablesOptions): Promise<readonly CopiedTableRows[]> {
  const { source, target, snapshot, encoding, events } = options;
  const queue = [...options.tables]
    .sort((a, b) => b.bytes - a.bytes)
    .map((table): TableJob => ({
      table,
      name: displayName(table),
      copyOut: copyOutStatement(table, encoding),
      copyIn: copyInStatement(table, encoding),
      expectedBytes: table.bytes,
    }));
  const copied: CopiedTableRows[] = [];
  const started = new Map<Table, number>();
  const database = source.database;

  async function work(signal: AbortSignal): Promise<void> {
    const [reading, writing] = await Promise.all([
      retry(() => openSession(source, { signal }), { signal }),
      retry(() => openSession(target, { signal, settings: { synchronous_commit: "off" } }), {
        signal,
      }),
    ]);
    await using from = reading;
    await using to = writing;
    await importSnapshot(from, snapshot.identifier);
    await relayCopies<TableJob>(from, to, {
      next: () => queue.shift(),
      onStarted: ({ table, name }) => {
        started.set(table, performance.now());
        events({ kind: "table-started", database, table: name, bytes: table.bytes });
      },
      onBytes: ({ name }, bytes) =>
        events({ kind: "table-progress", database, table: name, bytes }),
      onFinished: ({ table, name }, { rows, bytes }) => {
        const ms = performance.now() - (started.get(table) ?? performance.now());
        const done = { table, rows, bytes, ms };
        copied.push(done);
        events({ kind: "table-finished", database, table: name, rows, bytes, ms });
        options.onCopied?.(done);
      },
    });
  }

  const workers = Math.min(options.jobs, queue.length);
  await runConcurrently(Array.from({ length: workers }), (_, signal) => work(signal), {
    limit: workers,
    signal: AbortSignal.any([options.signal, snapshot.lost]),
  });
  return copied;
}
