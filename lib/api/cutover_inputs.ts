/**
 * The input of the library's cutover verbs.
 *
 * @module
 */
import type { BlockerPolicy, FenceKind, FinalCheck, WayBack } from "../config/internal.ts";
import type {
  CutoverFinishPlan,
  CutoverPreparePlan,
  CutoverSwitchPlan,
  CutoverUnfinishedReport,
} from "../commands/cutover/report.ts";
import type { CutoverHook } from "../cutover/internal.ts";
import type { Endpoint } from "../postgres/internal.ts";
import type { Confirm, ServersInput } from "./inputs.ts";

/** What `cutoverPrepare` takes. */
export interface CutoverPrepareInput extends ServersInput {
  /**
   * `replicate`: the source will follow the target after the cutover, so that
   * {@linkcode cutoverRollback} loses nothing; `none`: there is no way back.
   *
   * @default {"replicate"}
   */
  readonly wayBack?: WayBack | undefined;
  /**
   * `triggers`: a closed source refuses every write; `sessions`: for tables that the role does not
   * own, a closed source is only read-only by default, and its sessions are terminated. Weaker.
   *
   * @default {"triggers"}
   */
  readonly fence?: FenceKind | undefined;
  /** The target at the address by which the source's server reaches it. Default: `target`. */
  readonly targetFromSource?: string | Endpoint | undefined;
  /**
   * A password file on the source's server, by its full path. Without one, the target's password is
   * stored in the source's catalog.
   */
  readonly passfile?: string | undefined;
  /** Receives the plan; false ends the verb with both servers untouched. Default: yes. */
  readonly confirm?: Confirm<CutoverPreparePlan> | undefined;
}

/** What `cutoverRehearse` takes. */
export interface CutoverRehearseInput extends ServersInput {
  /**
   * The pause that would be allowed, in milliseconds.
   *
   * @default {30_000}
   */
  readonly maxPauseMs?: number | undefined;
  /**
   * How often the time is measured that changes take to arrive.
   *
   * @default {20}
   */
  readonly tokens?: number | undefined;
  /**
   * How long writers are made to wait, in milliseconds: at most `maxPauseMs`. Default: they are
   * not.
   */
  readonly brownoutMs?: number | undefined;
  /**
   * Values that each sequence skips on the side that is opened.
   *
   * @default {1_000}
   */
  readonly sequenceMargin?: number | undefined;
}

/** What `cutoverRun` and `cutoverRollback` take. */
export interface CutoverSwitchInput extends ServersInput {
  /**
   * How long writers may wait, in milliseconds; when it is exceeded, they continue and nothing has
   * changed.
   *
   * @default {30_000}
   */
  readonly maxPauseMs?: number | undefined;
  /**
   * What happens to sessions that hold locks on the tables.
   *
   * @default {"wait"}
   */
  readonly onBlocker?: BlockerPolicy | undefined;
  /**
   * How often to try to hold all writers at once.
   *
   * @default {20}
   */
  readonly barrierAttempts?: number | undefined;
  /**
   * Values that each sequence skips on the side that is opened.
   *
   * @default {1_000}
   */
  readonly sequenceMargin?: number | undefined;
  /**
   * Whether client sessions of the closed side are terminated.
   *
   * @default {true}
   */
  readonly endSessions?: boolean | undefined;
  /**
   * How long creating the slot of the way back may take, in milliseconds.
   *
   * @default {300_000}
   */
  readonly slotTimeoutMs?: number | undefined;
  /**
   * What is compared while writers wait: columns, or also the number of rows of every table.
   *
   * @default {"structure"}
   */
  readonly finalCheck?: FinalCheck | undefined;
  /**
   * Runs at each named moment; undefined where there is nothing to run. A rejected `before` refuses
   * the switch; the others become warnings. Default: nothing.
   */
  readonly hook?: ((hook: CutoverHook) => Promise<void> | undefined) | undefined;
  /** The clock, for the evidence. Default: the system's. */
  readonly now?: (() => Date) | undefined;
  /** Receives the plan; false ends the verb with both servers untouched. Default: yes. */
  readonly confirm?: Confirm<CutoverSwitchPlan> | undefined;
  /**
   * Receives the evidence of a switch that was begun and failed, before its error is thrown: what
   * was tried, why it was given up, and how long writers waited. Default: nothing.
   */
  readonly onUnfinished?: ((report: CutoverUnfinishedReport) => Promise<void>) | undefined;
}

/** What `cutoverFinish` takes. */
export interface CutoverFinishInput extends ServersInput {
  /**
   * Whether the source accepts writes again, which are not replicated.
   *
   * @default {false}
   */
  readonly openOldSide?: boolean | undefined;
  /** Receives the plan; false ends the verb with both servers untouched. Default: yes. */
  readonly confirm?: Confirm<CutoverFinishPlan> | undefined;
}

/** The input of each cutover verb. */
export interface CutoverInputs {
  readonly cutoverPrepare: CutoverPrepareInput;
  readonly cutoverRehearse: CutoverRehearseInput;
  readonly cutoverRun: CutoverSwitchInput;
  readonly cutoverRollback: CutoverSwitchInput;
  readonly cutoverFinish: CutoverFinishInput;
  readonly cutoverStatus: ServersInput;
}
