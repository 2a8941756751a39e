/**
 * What a preflight finds. Pure.
 *
 * @module
 */
import type { Side } from "../../core/internal.ts";

/** One reason not to switch, or something to know about it. */
export interface PreflightFinding {
  /** A problem prevents the step; a warning does not. */
  readonly severity: "problem" | "warning";
  /** Its name on the source. */
  readonly database: string;
  /** The server concerned; undefined for both. */
  readonly side: Side | undefined;
  /** What was found, in one sentence. */
  readonly message: string;
  /** What to do about it. */
  readonly remedy: string | undefined;
}

/** Which checks apply: before `prepare`, the fence does not exist yet. */
export type PreflightStage = "prepare" | "switch";

/** What a check says of one finding. */
export interface FindingText {
  /** The server concerned; left out for both. */
  readonly side?: Side;
  /** What was found, in one sentence. */
  readonly message: string;
  /** What to do about it. */
  readonly remedy?: string | undefined;
}

/** Collects what is found of one database. */
export class PreflightFindings {
  readonly #database: string;
  readonly #stage: PreflightStage;
  readonly #found: PreflightFinding[] = [];

  constructor({ database, stage }: {
    readonly database: string;
    readonly stage: PreflightStage;
  }) {
    this.#database = database;
    this.#stage = stage;
  }

  /** What prevents the step. */
  problem(text: FindingText): void {
    this.#add("problem", text);
  }

  /** What is worth knowing before the step. */
  warning(text: FindingText): void {
    this.#add("warning", text);
  }

  /** What prevents the switch, and may still be removed after `prepare`. */
  problemOfSwitch(text: FindingText): void {
    this.#add(this.#stage === "switch" ? "problem" : "warning", text);
  }

  /** Problems first, in the order of the checks. */
  sorted(): readonly PreflightFinding[] {
    return [
      ...this.#found.filter(({ severity }) => severity === "problem"),
      ...this.#found.filter(({ severity }) => severity === "warning"),
    ];
  }

  #add(severity: PreflightFinding["severity"], { side, message, remedy }: FindingText): void {
    this.#found.push({ severity, database: this.#database, side, message, remedy });
  }
}
