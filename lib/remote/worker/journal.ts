import {
  describeRetry,
  formatBytes,
  formatCount,
  formatDuration,
  plural,
  type RunEvent,
} from "../../core/mod.ts";
import type { SessionPool } from "../../postgres/mod.ts";
import { appendJournal, type JobEvent, type JobProgress, type NewLogLine } from "../store/mod.ts";
import type { Redactor } from "./redactor.ts";

/** Whose journal, and what is kept out of it. */
export interface JournalOptions {
  readonly pool: SessionPool;
  readonly jobId: string;
  readonly attempt: number;
  readonly redactor: Redactor;
  /** Called when another attempt has begun. */
  readonly onLost: () => void;
  /** Milliseconds between two writes. */
  readonly everyMs?: number;
}

/** More than this is not kept in memory while the database does not answer. */
const mostWaiting = 20_000;

/**
 * Writes what happens in a run into the job: a few times a second whatever the run tells, the latest progress of each table only.
 *
 * Writing → closed, when all has been written. Nothing of a secret comes in.
 */
export class JobJournal {
  readonly #options: JournalOptions;
  #events: JobEvent[] = [];
  #lines: NewLogLine[] = [];
  readonly #latest = new Map<string, RunEvent>();
  #progress: JobProgress = {
    step: null,
    tables: 0,
    tables_finished: 0,
    rows: 0,
    bytes: 0,
    planned_bytes: 0,
  };
  readonly #running = new Map<string, number>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #writing: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(options: JournalOptions) {
    this.#options = options;
  }

  /** Takes an event of the run. */
  readonly take = (event: RunEvent): void => {
    if (this.#closed || event.kind === "work-finished") return; // the report's timeline has these
    const clean = this.#options.redactor.value(event);
    this.#reduce(clean);
    const key = keyOf(clean);
    if (key !== undefined && (clean.kind === "table-progress" || clean.kind === "step-progress")) {
      this.#latest.set(key, clean);
    } else {
      if (key !== undefined) this.#latest.delete(key);
      if (this.#events.length < mostWaiting) this.#events.push({ kind: "run", event: clean });
      const line = lineOf(clean);
      if (line !== undefined) this.#lines.push(line);
    }
    this.#schedule();
  };

  /** Adds a line to the log. */
  log(level: NewLogLine["level"], message: string): void {
    this.#lines.push({ level, message: this.#options.redactor.text(message) });
    this.#schedule();
  }

  /** Writes what is left. @throws when the database does not answer */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    await this.#writing.catch(() => {}); // what it could not write is still there
    await this.#write();
  }

  #schedule(): void {
    if (this.#timer !== undefined || this.#closed) return;
    this.#timer = setTimeout(() => {
      this.#writing = this.#write().catch(() => {}) // tried again with the next ones
        .finally(() => {
          this.#timer = undefined;
          if (this.#events.length + this.#lines.length > 0) this.#schedule();
        });
    }, this.#options.everyMs ?? 300);
  }

  async #write(): Promise<void> {
    const latest = [...this.#latest];
    const events: JobEvent[] = [
      ...this.#events,
      ...latest.map(([, event]): JobEvent => ({ kind: "run", event })),
    ];
    const lines = this.#lines.slice(-mostWaiting);
    if (events.length + lines.length === 0) return;
    const { pool, jobId, attempt, onLost } = this.#options;
    const [eventCount, lineCount] = [this.#events.length, this.#lines.length];
    const ours = await pool.use((session) =>
      appendJournal(session, { jobId, attempt }, { events, lines, progress: this.#progress })
    );
    this.#events.splice(0, eventCount);
    this.#lines.splice(0, lineCount);
    for (const [key, event] of latest) {
      if (this.#latest.get(key) === event) this.#latest.delete(key);
    }
    if (!ours) onLost();
  }

  #reduce(event: RunEvent): void {
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
        const key = keyOf(event)!;
        const before = this.#running.get(key) ?? 0;
        const finished = event.kind === "table-finished";
        if (finished) this.#running.delete(key);
        else this.#running.set(key, event.bytes);
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

/** What an event is the progress of. */
function keyOf(event: RunEvent): string | undefined {
  switch (event.kind) {
    case "table-started":
    case "table-progress":
    case "table-finished":
      return JSON.stringify(["table", event.database, event.table]);
    case "step-progress":
    case "step-finished":
      return JSON.stringify(["step", event.step, event.database ?? null]);
    default:
      return undefined;
  }
}

/** An event as a line of the log; undefined for what would only be noise there. */
function lineOf(event: RunEvent): NewLogLine | undefined {
  const place = (database: string | undefined) => database === undefined ? "" : ` of ${database}`;
  switch (event.kind) {
    case "step-started":
      return { level: "info", message: `${event.step}${place(event.database)}: started` };
    case "step-finished":
      return {
        level: "info",
        message: `${event.step}${place(event.database)}: done in ${formatDuration(event.ms)}` +
          (event.summary === undefined ? "" : `, ${event.summary}`),
      };
    case "database-planned":
      return {
        level: "info",
        message: `${event.database}: ${plural(event.tables, "table")}, ${formatBytes(event.bytes)}`,
      };
    case "table-finished":
      return {
        level: "info",
        message: `${event.database}: ${event.table}: ${formatCount(event.rows)} rows, ${
          formatBytes(event.bytes)
        } in ${formatDuration(event.ms)}`,
      };
    case "warning": {
      const where = [event.side, event.object].filter((part) => part !== undefined).join(", ");
      return {
        level: "warn",
        message: (where === "" ? "" : `${where}: `) + event.message +
          (event.remedy === undefined ? "" : ` → ${event.remedy}`),
      };
    }
    case "retry":
      return {
        level: "warn",
        message: `${describeRetry(event)}: again in ${formatDuration(event.delayMs)}`,
      };
    case "info":
      return { level: "info", message: event.message };
    default:
      return undefined;
  }
}
