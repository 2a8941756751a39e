/**
 * The states of a stream, one vocabulary for `sync`, `status` and `cleanup`. Pure.
 *
 * @module
 */
import type { SlotState } from "../slot/read_slots.ts";
import { type ApplierProgress, hasApplyErrors } from "../read_appliers.ts";

/**
 * Every state of a stream, healthy ones first. "Durable" states survive restarts of both servers,
 * the others are what the last reading showed.
 *
 * | state | set by | durable |
 * |---|---|---|
 * | `streaming` | the apply worker, or the process that applies changes, which reads the slot | no |
 * | `blocked` | another session, whose lock the apply worker waits for | no |
 * | `starting` | the apply worker, which does not read the slot yet | no |
 * | `stopped` | the target's server, or the end of that process: enabled, but nothing applies changes | no |
 * | `disabled` | `sync`, `init`, `cutover` or an administrator (`ALTER SUBSCRIPTION … DISABLE`) | yes |
 * | `failing` | an apply error; durable if it disabled the subscription (`disable_on_error`), or stopped the tool's own process | |
 * | `detached` | an administrator (`slot_name = NONE`) | yes |
 * | `no-subscription` | no applier: `init` or `sync` before hand-over; `cleanup`; an administrator | yes |
 * | `no-slot` | `cleanup` or an administrator, by dropping the slot | yes |
 * | `lost` | the source's server, by invalidating the slot | yes |
 * | `unknown` | the reader: the target is out of reach | no |
 */
export const streamStates = [
  "streaming",
  "blocked",
  "starting",
  "stopped",
  "disabled",
  "failing",
  "detached",
  "no-subscription",
  "no-slot",
  "lost",
  "unknown",
] as const;

/** One of {@linkcode streamStates}. */
export type StreamState = typeof streamStates[number];

/** The states in which nothing is applied until an administrator acts. */
export const brokenStreamStates: ReadonlySet<StreamState> = new Set([
  "stopped",
  "disabled",
  "failing",
  "detached",
  "no-subscription",
  "no-slot",
  "lost",
]);

/** The facts that decide a stream's state. */
export interface StreamFacts {
  readonly slot: Pick<SlotState, "active" | "walStatus" | "invalidationReason"> | undefined;
  readonly applier:
    | Pick<
      ApplierProgress,
      "kind" | "enabled" | "slotName" | "workerPid" | "applyErrors" | "error"
    >
    | undefined;
  readonly sourceReachable: boolean;
  readonly targetReachable: boolean;
  /** What two readings show; undefined after one. */
  readonly activity: StreamActivity | undefined;
}

/** What changed between two readings of a stream. */
export interface StreamActivity {
  /** Apply errors between the readings. */
  readonly newErrors: number;
  /** Whether the worker is another one, or came or went. */
  readonly restarted: boolean;
  /** Whether the target has confirmed anything, or nothing was pending. */
  readonly applied: boolean;
  /** Whether the worker waits for another session's lock. */
  readonly isBlocked: boolean;
}

/** Whether the server has invalidated a slot: it can no longer deliver its changes. */
export function isSlotLost(
  { walStatus, invalidationReason }: Pick<SlotState, "walStatus" | "invalidationReason">,
): boolean {
  return walStatus === "lost" || invalidationReason !== undefined;
}

/** The state of a stream. */
export function streamState(
  { slot, applier, sourceReachable, targetReachable, activity }: StreamFacts,
): StreamState {
  if (slot !== undefined && isSlotLost(slot)) return "lost";
  if (!targetReachable) return "unknown";
  if (applier === undefined) return "no-subscription";
  if (applier.slotName === undefined) return "detached";
  if (sourceReachable && slot === undefined) return "no-slot";
  const isFailing = hasApplyErrors(applier);
  if (!applier.enabled) return isFailing ? "failing" : "disabled";
  if (applier.kind === "client") {
    if (isFailing) return "failing";
  } else if ((activity?.newErrors ?? 0) > 0) return "failing";
  if (applier.workerPid === undefined) return isFailing ? "failing" : "stopped";
  // before 15 nothing counts errors
  const canFail = applier.kind === "subscription" &&
    (isFailing || applier.applyErrors === undefined);
  if (activity?.restarted && !activity.applied && canFail) return "failing";
  if (activity?.isBlocked) return "blocked";
  return slot !== undefined && !slot.active ? "starting" : "streaming";
}
