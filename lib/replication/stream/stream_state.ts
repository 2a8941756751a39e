/**
 * The states of a stream, one vocabulary for `sync`, `status` and `cleanup`. Pure.
 *
 * @module
 */
import type { SlotState } from "../slot/read_slots.ts";
import type { SubscriptionState } from "../subscription/read_subscriptions.ts";

/**
 * Every state of a stream, healthy ones first. "Durable" states survive restarts of both servers,
 * the others are what the last reading showed.
 *
 * | state | set by | durable |
 * |---|---|---|
 * | `streaming` | the apply worker, which reads the slot | no |
 * | `blocked` | another session, whose lock the apply worker waits for | no |
 * | `starting` | the apply worker, which does not read the slot yet | no |
 * | `stopped` | the target's server: enabled, but no apply worker runs | no |
 * | `disabled` | `sync`, `init` or an administrator (`ALTER SUBSCRIPTION … DISABLE`) | yes |
 * | `failing` | an apply error; durable only if it disabled the subscription (`disable_on_error`) | |
 * | `detached` | an administrator (`slot_name = NONE`) | yes |
 * | `no-subscription` | `init` or `sync` before hand-over; `cleanup`; an administrator | yes |
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
  readonly subscription:
    | Pick<SubscriptionState, "enabled" | "slotName" | "workerPid" | "applyErrors">
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
  { slot, subscription, sourceReachable, targetReachable, activity }: StreamFacts,
): StreamState {
  if (slot !== undefined && isSlotLost(slot)) return "lost";
  if (!targetReachable) return "unknown";
  if (subscription === undefined) return "no-subscription";
  if (subscription.slotName === undefined) return "detached";
  if (sourceReachable && slot === undefined) return "no-slot";
  const errors = subscription.applyErrors ?? 0;
  if (!subscription.enabled) return errors > 0 ? "failing" : "disabled";
  if ((activity?.newErrors ?? 0) > 0) return "failing";
  if (subscription.workerPid === undefined) return errors > 0 ? "failing" : "stopped";
  // before 15 nothing counts errors
  const canFail = errors > 0 || subscription.applyErrors === undefined;
  if (activity?.restarted && !activity.applied && canFail) return "failing";
  if (activity?.isBlocked) return "blocked";
  return slot !== undefined && !slot.active ? "starting" : "streaming";
}
