import type { RunEvent, StepName } from "../lib/core/events.ts";
import type { EventMessage } from "../lib/remote/client/event_messages.ts";
import { type Samples, Throughput } from "./samples.ts";

/** The displayed state of a table. */
export interface TableState {
  readonly key: string;
  readonly database: string;
  readonly table: string;
  readonly state: "copying" | "done" | "waiting";
  readonly plannedBytes: number;
  readonly bytes: number;
  readonly rows: number | undefined;
  readonly ms: number | undefined;
  /** When it started. */
  readonly startedAt: number;
}

/** The displayed state of a step. */
export interface StepView {
  readonly step: StepName;
  readonly database: string | undefined;
  readonly startedAt: number;
  readonly ms: number | undefined;
  /** Whether it ended with an error. */
  readonly hasFailed: boolean;
  readonly summary: string | undefined;
  readonly done: number | undefined;
  readonly total: number | undefined;
  readonly current: string | undefined;
}

/** About the number of pixels of a chart. */
const maxLagPoints = 2_000;

/**
 * Accumulates a job's events: its tables, steps, throughput and lag. Processing an event takes
 * constant time, because sums are maintained.
 */
export class Progress {
  /** In the order they started. */
  readonly tables = new Map<string, TableState>();
  readonly steps = new Map<string, StepView>();
  /** Bytes behind, by subscription. */
  readonly lag = new Map<string, { at: number; bytes: number }[]>();
  readonly #throughput = new Throughput();
  plannedTables = 0;
  plannedBytes = 0;
  finishedTables = 0;
  finishedRows = 0;
  finishedBytes = 0;
  finishedPlannedBytes = 0;
  warnings = 0;
  readonly #throttle = new Map<string, string>();
  attempt = 0;

  take(message: Extract<EventMessage, { readonly kind: "state" | "run" }>): void {
    const at = Date.parse(message.at);
    if (message.kind === "run") return this.#run(message.event, at);
    if (message.state === "running" && message.attempt > this.attempt) this.#again(message.attempt);
  }

  /**
   * Why the copy is throttled, and which sessions wait for it; undefined if neither is the case.
   */
  get heldBack(): string | undefined {
    return this.#throttle.size === 0 ? undefined : [...this.#throttle.values()].join("; ");
  }

  /** Bytes per second over the duration of the job. */
  throughput(now: number): Samples {
    return this.#throughput.samples(now);
  }

  /** Bytes per second over the last seconds. */
  pace(now: number): number {
    return this.#throughput.recent(now);
  }

  /** Bytes copied so far. */
  get copiedBytes(): number {
    let bytes = this.finishedBytes;
    for (const table of this.tables.values()) if (table.state === "copying") bytes += table.bytes;
    return bytes;
  }

  /**
   * The fraction of the rows copied, from 0 to 1; undefined until tables are planned. Plans use
   * sizes on disk, progress uses COPY bytes: finished tables show the ratio of the two.
   */
  get fraction(): number | undefined {
    if (this.plannedTables === 0) return undefined;
    if (this.finishedTables >= this.plannedTables) return 1;
    if (this.plannedBytes === 0) return this.finishedTables / this.plannedTables;
    let done = this.finishedPlannedBytes;
    for (const table of this.tables.values()) {
      if (table.state === "copying") done += this.tableFraction(table) * table.plannedBytes;
    }
    return Math.min(0.999, done / this.plannedBytes);
  }

  tableFraction({ state, plannedBytes, bytes }: TableState): number {
    if (state === "done") return 1;
    if (plannedBytes <= 0) return 0;
    const ratio = this.finishedPlannedBytes > 1 << 20
      ? Math.max(0.05, this.finishedBytes / this.finishedPlannedBytes)
      : 1;
    return Math.min(0.99, bytes / ratio / plannedBytes);
  }

  /** Starts a new attempt: the plan is reported again, finished tables remain finished. */
  #again(attempt: number): void {
    this.attempt = attempt;
    this.plannedTables = 0;
    this.plannedBytes = 0;
    this.#throughput.restart();
    for (const [key, table] of this.tables) {
      if (table.state === "copying") this.tables.set(key, { ...table, state: "waiting", bytes: 0 });
    }
    for (const [key, step] of this.steps) if (step.ms === undefined) this.steps.delete(key);
  }

  #run(event: RunEvent, at: number): void {
    switch (event.kind) {
      case "database-planned":
        this.plannedTables += event.tables;
        this.plannedBytes += event.bytes;
        break;
      case "already-copied":
        // of a later attempt: the tables are shown as finished already
        if (this.attempt > 1) break;
        this.plannedBytes = Math.max(0, this.plannedBytes - event.bytes);
        this.finishedTables += event.tables;
        break;
      case "table-started":
      case "table-progress":
      case "table-finished":
        this.#table(event, at);
        break;
      case "step-started":
      case "step-progress":
      case "step-finished":
        this.#step(event, at);
        break;
      case "replication-lag":
        this.#lag(event, at);
        break;
      case "warning":
        this.warnings++;
        break;
      case "governor":
        if (event.over) this.#throttle.delete(event.about);
        else this.#throttle.set(event.about, event.message);
        break;
    }
  }

  #table(
    event: Extract<
      RunEvent,
      { readonly kind: "table-started" | "table-progress" | "table-finished" }
    >,
    at: number,
  ): void {
    const { database, table } = event;
    const key = JSON.stringify([database, table]);
    const before = this.tables.get(key);
    if (before?.state === "done") this.#count(before, -1); // it is copied again
    const base = before ?? { key, database, table, plannedBytes: 0, startedAt: at };
    const common = { rows: undefined, ms: undefined, ...base };
    let after: TableState;
    if (event.kind === "table-started") {
      after = { ...common, state: "copying", plannedBytes: event.bytes, bytes: 0, startedAt: at };
    } else if (event.kind === "table-progress") {
      after = { ...common, state: "copying", bytes: event.bytes };
    } else {
      const { rows, bytes, ms } = event;
      after = { ...common, state: "done", bytes, rows, ms };
      this.#count(after, 1);
    }
    this.#throughput.add(after.bytes - (before?.state === "copying" ? before.bytes : 0), at);
    this.tables.set(key, after);
  }

  #count({ bytes, rows, plannedBytes }: TableState, sign: 1 | -1): void {
    this.finishedTables += sign;
    this.finishedBytes += sign * bytes;
    this.finishedRows += sign * (rows ?? 0);
    this.finishedPlannedBytes += sign * plannedBytes;
  }

  #step(
    event: Extract<RunEvent, { readonly kind: "step-started" | "step-progress" | "step-finished" }>,
    at: number,
  ): void {
    const { step, database } = event;
    const key = JSON.stringify([step, database ?? null]);
    const before = this.steps.get(key);
    const { done, total, current } = event.kind === "step-progress"
      ? { current: undefined, ...event }
      : { done: before?.done, total: before?.total, current: undefined };
    this.steps.set(key, {
      step,
      database,
      startedAt: event.kind === "step-started" ? at : before?.startedAt ?? at,
      ms: event.kind === "step-finished" ? event.ms : undefined,
      hasFailed: event.kind === "step-finished" && event.failed === true,
      summary: event.kind === "step-finished" ? event.summary : undefined,
      done,
      total,
      current,
    });
  }

  #lag(
    { database, subscription, bytes }: Extract<RunEvent, { readonly kind: "replication-lag" }>,
    at: number,
  ): void {
    const key = `${database}: ${subscription}`;
    const points = this.lag.get(key) ?? [];
    points.push({ at, bytes });
    // drops every second point, which keeps the shape of the chart
    this.lag.set(
      key,
      points.length < maxLagPoints ? points : points.filter((_, index) => index % 2 === 1),
    );
  }
}
