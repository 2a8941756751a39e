import type { RunEvent } from "../../core/internal.ts";
import type { SessionPool } from "../../postgres/internal.ts";
import {
  appendJournal,
  type JobEvent,
  type JobProgress,
  type NewLogLine,
  pruneJournal,
  seriesOf,
} from "../store/mod.ts";
import { logLineOf } from "./journal_lines.ts";
import type { Redactor } from "./redactor.ts";

/** Settings of {@linkcode JobJournal}. */
export interface JobJournalOptions {
  readonly pool: SessionPool;
  readonly jobId: string;
  readonly attempt: number;
  readonly redactor: Redactor;
  /** Called when another attempt has started. */
  readonly onLost: () => void;
  /** Interval between writes, in milliseconds. */
  readonly intervalMs?: number;
  /** Interval between writes of progress samples, in milliseconds, given the run's duration. */
  readonly sampleMs?: (runMs: number) => number;
}

/** Maximum number of entries buffered while the database is unavailable. */
const maxWaiting = 20_000;

/** Number of entries after which the journal is pruned. */
const pruneAfter = 1_000;

/**
 * Three samples per second at first, one every two seconds after half an hour.
 */
export function sampleMs(runMs: number): number {
  return Math.min(2_000, Math.max(300, runMs / 1_000));
}

/**
 * Writes the events of a run to the job's journal, redacted, a few times per second. Of progress
 * samples only the latest of each table, step and subscription is written, less often the longer
 * the run takes; old ones are pruned ({@linkcode pruneJournal}).
 *
 * Writing → closed, when everything has been written.
 */
export class JobJournal {
  readonly #options: JobJournalOptions;
  #events: JobEvent[] = [];
  #lines: NewLogLine[] = [];
  /** By series. */
  readonly #latest = new Map<string, JobEvent>();
  #progress: JobProgress = {
    step: null,
    tables: 0,
    tables_finished: 0,
    rows: 0,
    bytes: 0,
    planned_bytes: 0,
  };
  readonly #running = new Map<string, number>();
  readonly #intervalMs: number;
  readonly #sampleMs: (runMs: number) => number;
  readonly #startedMs = performance.now();
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** When the timer fires. */
  #dueMs = Infinity;
  #isWriting = false;
  #writing: Promise<void> = Promise.resolve();
  #sampledMs = -Infinity;
  #sincePruned = 0;
  #closed = false;

  constructor(options: JobJournalOptions) {
    this.#options = options;
    this.#intervalMs = options.intervalMs ?? 300;
    this.#sampleMs = options.sampleMs ?? sampleMs;
  }

  /** Records an event of the run. */
  readonly take = (event: RunEvent): void => {
    // these are only for the report's timeline
    if (this.#closed || event.kind === "work-finished") return;
    const clean = this.#options.redactor.value(event);
    const entry: JobEvent = { kind: "run", event: clean };
    const { series, sample = false } = seriesOf(entry);
    this.#reduce(clean, series);
    if (series !== undefined && sample) {
      this.#latest.set(series, entry);
      return this.#schedule(this.#untilSamplesMs());
    }
    if (series !== undefined) this.#latest.delete(series);
    if (this.#events.length < maxWaiting) this.#events.push(entry);
    const line = logLineOf(clean);
    if (line !== undefined) this.#addLine(line);
    this.#schedule(this.#intervalMs);
  };

  /** Appends a line to the log. */
  log(level: NewLogLine["level"], message: string): void {
    this.#addLine({ level, message: this.#options.redactor.text(message) });
    this.#schedule(this.#intervalMs);
  }

  #addLine(line: NewLogLine): void {
    if (this.#lines.length < maxWaiting) this.#lines.push(line);
  }

  /** Writes the remaining entries. @throws if the database is unavailable */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#writing.catch(() => {}); // unwritten entries are still buffered
    await this.#write();
  }

  /** Schedules a write within this time. */
  #schedule(ms: number): void {
    const dueMs = performance.now() + ms;
    if (this.#closed || this.#isWriting || dueMs >= this.#dueMs) return;
    clearTimeout(this.#timer);
    this.#dueMs = dueMs;
    this.#timer = setTimeout(() => {
      this.#dueMs = Infinity;
      this.#isWriting = true;
      this.#writing = this.#write().catch(() => {}) // retried with the next write
        .finally(() => {
          this.#isWriting = false;
          if (this.#events.length + this.#lines.length > 0) this.#schedule(this.#intervalMs);
          else if (this.#latest.size > 0) this.#schedule(this.#untilSamplesMs());
        });
    }, ms);
  }

  /** Time until samples are due. */
  #untilSamplesMs(): number {
    const now = performance.now();
    return Math.max(0, this.#sampledMs + this.#sampleMs(now - this.#startedMs) - now);
  }

  async #write(): Promise<void> {
    // a timer may fire slightly early
    const latest = this.#closed || this.#untilSamplesMs() < 20 ? [...this.#latest] : [];
    const events = [...this.#events, ...latest.map(([, event]) => event)];
    const lines = [...this.#lines];
    if (events.length + lines.length === 0) return;
    const { pool, jobId, attempt, onLost } = this.#options;
    const eventCount = this.#events.length;
    const isCurrent = await pool.use((session) =>
      appendJournal(session, { jobId, attempt }, { events, lines, progress: this.#progress })
    );
    this.#events.splice(0, eventCount);
    this.#lines.splice(0, lines.length);
    if (latest.length > 0) this.#sampledMs = performance.now();
    for (const [series, event] of latest) {
      if (this.#latest.get(series) === event) this.#latest.delete(series);
    }
    if (!isCurrent) return onLost();
    this.#sincePruned += events.length + lines.length;
    if (this.#sincePruned < pruneAfter) return;
    this.#sincePruned = 0;
    await pool.use((session) => pruneJournal(session, jobId));
  }

  #reduce(event: RunEvent, series: string | undefined): void {
    const now = this.#progress;
    switch (event.kind) {
      case "step-started":
        this.#progress = { ...now, step: event.step };
        break;
      case "database-planned":
        this.#progress = {
          ...now,
          tables: now.tables + event.tables,
          planned_bytes: now.planned_bytes + event.bytes,
        };
        break;
      case "already-copied":
        this.#progress = {
          ...now,
          tables_finished: now.tables_finished + event.tables,
          planned_bytes: Math.max(0, now.planned_bytes - event.bytes),
        };
        break;
      case "table-progress":
      case "table-finished": {
        if (series === undefined) break;
        const before = this.#running.get(series) ?? 0;
        const finished = event.kind === "table-finished";
        if (finished) this.#running.delete(series);
        else this.#running.set(series, event.bytes);
        this.#progress = {
          ...now,
          bytes: now.bytes + event.bytes - before,
          ...(finished
            ? { tables_finished: now.tables_finished + 1, rows: now.rows + event.rows }
            : {}),
        };
        break;
      }
    }
  }
}
