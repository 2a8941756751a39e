/**
 * Options of the cutover commands. Nothing is optional: the caller has resolved every default.
 *
 * @module
 */
import type { BlockerPolicy, FenceKind, FinalCheck, WayBack } from "../../config/internal.ts";
import type { HookRunner } from "../../cutover/internal.ts";
import type { Endpoint } from "../../postgres/internal.ts";
import type { CutoverServers } from "./read_cutover.ts";
import type {
  CutoverFinishPlan,
  CutoverPreparePlan,
  CutoverSwitchPlan,
  CutoverUnfinishedReport,
} from "./report.ts";
import type { SwitchBeginning } from "./switch_beginning.ts";

/** What `cutover prepare` takes. */
export interface CutoverPrepareOptions extends CutoverServers {
  /** `replicate`: the way back is a subscription of the source; `none`: there is no way back. */
  readonly wayBack: WayBack;
  /** How the source is closed; `sessions` only where the role does not own the tables. */
  readonly fence: FenceKind;
  /** The target at the address by which the source's server connects to it. */
  readonly targetFromSource: Endpoint | undefined;
  /** A file with the target's password on the source's server. */
  readonly passfile: string | undefined;
  /** The current time, ISO 8601. */
  readonly now: string;
  /** Receives the plan; false leaves everything unchanged. */
  readonly confirm: (plan: CutoverPreparePlan) => Promise<boolean>;
}

/** What `cutover rehearse` takes. */
export interface CutoverRehearseOptions extends CutoverServers {
  readonly maxPauseMs: number;
  /** Tokens that are sent. */
  readonly tokens: number;
  /**
   * How long writers may wait for the barrier, in milliseconds, the attempt included; undefined for
   * no barrier.
   */
  readonly brownoutMs: number | undefined;
  readonly sequenceMargin: number;
  readonly now: () => Date;
}

/** What `cutover run` and `cutover rollback` take. */
export interface CutoverSwitchOptions extends CutoverServers {
  readonly maxPauseMs: number;
  readonly onBlocker: BlockerPolicy;
  /** How often the barrier is tried. */
  readonly barrierAttempts: number;
  readonly sequenceMargin: number;
  /** Whether client sessions of the closed side are terminated. */
  readonly endSessions: boolean;
  readonly slotTimeoutMs: number;
  /** What is compared while writers wait: structure, or also the number of rows of every table. */
  readonly finalCheck: FinalCheck;
  readonly hook: HookRunner;
  /**
   * Whether an interrupted call is being continued, which may have done everything: then its
   * outcome is returned instead of a refusal, and an aborted signal counts only before the point of
   * no return.
   */
  readonly isContinued: boolean;
  /** What the interrupted call found when it began, if that is known. */
  readonly beginning: SwitchBeginning | undefined;
  /** Receives what a call finds, before anything is changed. */
  readonly onBegin: (beginning: SwitchBeginning) => Promise<void>;
  readonly now: () => Date;
  /** Receives the plan; false leaves everything unchanged. */
  readonly confirm: (plan: CutoverSwitchPlan) => Promise<boolean>;
  /** Receives the evidence of a switch that was begun and failed, before its error is thrown. */
  readonly onUnfinished: (report: CutoverUnfinishedReport) => Promise<void>;
}

/** What `cutover finish` takes. */
export interface CutoverFinishOptions extends CutoverServers {
  /** Whether the old side accepts writes again. */
  readonly openOldSide: boolean;
  /** Receives the plan; false leaves everything unchanged. */
  readonly confirm: (plan: CutoverFinishPlan) => Promise<boolean>;
}
