/**
 * What the reports of several commands are made of: plain data for a terminal, a JSON document, an
 * HTML page or a service. Sizes are bytes, durations milliseconds.
 *
 * @module
 */
import type { Side, StepName } from "../../core/internal.ts";

/** A short description of a server. */
export interface ServerSummary {
  /** URL without password. */
  readonly url: string;
  /** `15.18` */
  readonly version: string;
  /** The provider, if recognized: `Amazon RDS`, `Neon`, … */
  readonly provider?: string;
  /** Whether the connection uses TLS. */
  readonly encrypted: boolean;
}

/** Something that was done differently or omitted, and why. */
export interface Warning {
  /** What happened, in a sentence. */
  readonly message: string;
  /** The server that it concerns. */
  readonly side?: Side;
  /** The object that it concerns. */
  readonly object?: string;
  /** What to do about it. */
  readonly remedy?: string;
}

/** How long a step took. */
export interface StepReport {
  /** The step. */
  readonly step: string;
  /** The database. */
  readonly database?: string;
  /** Since the start of the run. */
  readonly startMs: number;
  /** Duration in milliseconds. */
  readonly ms: number;
  /** The predicted duration; undefined for steps without a prediction. */
  readonly predictedMs?: number;
  /** Whether it failed, and with it this attempt at the database. */
  readonly failed?: true;
  /** Whether it failed only because the run was interrupted. */
  readonly interrupted?: true;
  /** The outcome in a few words. */
  readonly summary?: string;
}

/** How long a step is expected to take. */
export interface StepPrediction {
  /** The step. */
  readonly step: StepName;
  /** The database. */
  readonly database?: string;
  /** Duration in milliseconds. */
  readonly ms: number;
}
