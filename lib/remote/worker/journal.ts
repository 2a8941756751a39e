import type { RunEvent } from "../../core/internal.ts";
import type { SessionPool } from "../../postgres/internal.ts";
import {
  appendJournal,
  type JobEvent,
  type JobProgress,
  type NewLogLine,
  placeOf,
  pruneJournal,
} from "../store/mod.ts";
import { lineOf } from "./journal_lines.ts";
import type { Redactor } from "./redactor.ts";

/** Whose journal, and what is kept out of it. */
export interface JobJournalOptions {
  readonly pool: SessionPool;
  readonly jobId: string;
  readonly attempt: number;
  readonly redactor: Redactor;
  /** Called when another attempt has begun. */
  readonly onLost: () => void;
  /** Milliseconds between two writes of what happened. */
  readonly everyMs?: number;
  /** Milliseconds between two writes of how far things are, in a run that has taken so long. */
  readonly sampleMs?: (runMs: number) => number;
}

/** More than this is not kept in memory while the database does not answer. */
const maxWaiting = 20_000;

/** After so many entries the journal is thinned to its bounds. */
const thinAfter = 1_000;

/**
 * Three times a second at first, every two seconds after half an hour: nobody watches a day as
 * closely as a minute.
 */
export function sampleMs(runMs: number): number {
  return Math.min(2_000, Math.max(300, runMs / 1_000));
}

/**
 * Writes what happens in a run into the job: a few times a second whatever the run tells, and of
 * what only says how far a table, step or subscription is the latest alone. The longer the run the
 * rarer these, and old ones are thinned ({@linkcode pruneJournal}).
 *
 * Writing → closed, when all has been written. Nothing of a secret comes in.
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
  readonly #everyMs: number;
  readonly #sampleMs: (runMs: number) => number;
  readonly #startedMs = performance.now();
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** When the timer goes off. */
  #dueMs = Infinity;
  #isWriting = false;
  #writing: Promise<void> = Promise.resolve();
  #sampledMs = -Infinity;
  #sinceThinned = 0;
  #closed = false;

  constructor(options: JobJournalOptions) {
    this.#options = options;
    this.#everyMs = options.everyMs ?? 300;
    this.#sampleMs = options.sampleMs ?? sampleMs;
  }

  /** Takes an event of the run. */
  readonly take = (event: RunEvent): void => {
    if (this.#closed || event.kind === "work-finished") return; // the report's timeline has these
    const clean = this.#options.redactor.value(event);
    const entry: JobEvent = { kind: "run", event: clean };
    const { series, sample = false } = placeOf(entry);
    this.#reduce(clean, series);
    if (series !== undefined && sample) {
      this.#latest.set(series, entry);
      return this.#schedule(this.#untilSamplesMs());
    }
    if (series !== undefined) this.#latest.delete(series);
    if (this.#events.length < maxWaiting) this.#events.push(entry);
    const line = lineOf(clean);
    if (line !== undefined) this.#addLine(line);
    this.#schedule(this.#everyMs);
  };

  /** Adds a line to the log. */
  log(level: NewLogLine["level"], message: string): void {
    this.#addLine({ level, message: this.#options.redactor.text(message) });
    this.#schedule(this.#everyMs);
  }

  #addLine(line: NewLogLine): void {
    if (this.#lines.length < maxWaiting) this.#lines.push(line);
  }

  /** Writes what is left. @throws when the database does not answer */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#writing.catch(() => {}); // what it could not write is still there
    await this.#write();
  }

  /** Writes within this time. */
  #schedule(ms: number): void {
    const dueMs = performance.now() + ms;
    if (this.#closed || this.#isWriting || dueMs >= this.#dueMs) return;
    clearTimeout(this.#timer);
    this.#dueMs = dueMs;
    this.#timer = setTimeout(() => {
      this.#dueMs = Infinity;
      this.#isWriting = true;
      this.#writing = this.#write().catch(() => {}) // tried again with the next ones
        .finally(() => {
          this.#isWriting = false;
          if (this.#events.length + this.#lines.length > 0) this.#schedule(this.#everyMs);
          else if (this.#latest.size > 0) this.#schedule(this.#untilSamplesMs());
        });
    }, ms);
  }

  /** When samples are to be written again. */
  #untilSamplesMs(): number {
    const now = performance.now();
    return Math.max(0, this.#sampledMs + this.#sampleMs(now - this.#startedMs) - now);
  }

  async #write(): Promise<void> {
    // a timer may go off a moment too early
    const latest = this.#closed || this.#untilSamplesMs() < 20 ? [...this.#latest] : [];
    const events = [...this.#events, ...latest.map(([, event]) => event)];
    const lines = [...this.#lines];
    if (events.length + lines.length === 0) return;
    const { pool, jobId, attempt, onLost } = this.#options;
    const eventCount = this.#events.length;
    const ours = await pool.use((session) =>
      appendJournal(session, { jobId, attempt }, { events, lines, progress: this.#progress })
    );
    this.#events.splice(0, eventCount);
    this.#lines.splice(0, lines.length);
    if (latest.length > 0) this.#sampledMs = performance.now();
    for (const [series, event] of latest) {
      if (this.#latest.get(series) === event) this.#latest.delete(series);
    }
    if (!ours) return onLost();
    this.#sinceThinned += events.length + lines.length;
    if (this.#sinceThinned < thinAfter) return;
    this.#sinceThinned = 0;
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
