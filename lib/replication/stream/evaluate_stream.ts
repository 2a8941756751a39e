/**
 * Whether a stream can resume, and how: one judgement for `sync`, which acts on it, and `status`,
 * which reports it. Pure.
 *
 * @module
 */
import { plural, quoteIdentifier, type TableName } from "../../core/internal.ts";
import {
  applyErrorRemedy,
  applyRemedy,
  resnapshotRemedy,
} from "../progress/describe_apply_error.ts";
import type { ApplierReading } from "../read_appliers.ts";
import type { ReplicationStream } from "./read_streams.ts";
import { isSlotLost, type StreamActivity, type StreamState, streamState } from "./stream_state.ts";

/**
 * What `sync` does with a stream:
 *
 * - `wait`: it is enabled; wait until it has caught up;
 * - `hand-over`: its rows are copied, and it has no applier yet;
 * - `enable`: its applier is stopped;
 * - `retry`: an apply error has stopped it; start it only with `--retry` or `--skip-lsn`;
 * - `refuse`: it cannot resume without copying rows again, or without a decision by the user.
 */
export type StreamAction = "wait" | "hand-over" | "enable" | "retry" | "refuse";

/** What decides about a stream: the first that holds, in this order. */
export type StreamReason =
  /** A side cannot be read, so that nothing more can be said. */
  | "unknown"
  /** Not all rows are on the target. */
  | "unfinished-copy"
  | "slot-missing"
  | "slot-lost"
  | "publication-missing"
  /** All rows are on the target, and nothing applies the changes yet. */
  | "not-handed-over"
  /** The subscription has no slot. */
  | "detached"
  /** The subscription reads another slot. */
  | "other-slot"
  /** The subscription follows another publication. */
  | "other-publication"
  /** An error has stopped the applier. */
  | "apply-error"
  | "disabled"
  | "enabled";

/** The state of a stream, what decides about it, and what `sync` does with it. */
export interface StreamJudgement {
  /** `streaming`, `blocked`, `failing`, …; see {@linkcode streamStates}. */
  readonly state: StreamState;
  /** What decides. */
  readonly reason: StreamReason;
  /** What `sync` does with it: `wait`, `hand-over`, `enable`, `retry` or `refuse`. */
  readonly action: StreamAction;
  /** The state in a sentence. */
  readonly message: string;
  /** What the user can do; undefined if nothing needs doing, or `sync` does it. */
  readonly remedy: string | undefined;
}

/** A stream, and the judgement of it. */
export interface StreamVerdict extends StreamJudgement {
  /** The stream, with those of its objects that exist. */
  readonly stream: ReplicationStream;
}

/** What is judged: those of a stream's objects that exist. */
export type JudgedStream =
  & Pick<ReplicationStream, "name" | "epoch" | "slot" | "applier" | "scopeComment">
  & { readonly publication: { readonly tables: readonly TableName[] } | undefined };

/** What of a stream can be read. */
export interface StreamVisibility {
  readonly sourceReachable: boolean;
  /** Whether the publications of the source's database can be read. */
  readonly isPublicationKnown: boolean;
  readonly targetReachable: boolean;
  /** What two readings show; undefined after one. */
  readonly activity: StreamActivity | undefined;
}

type Finding = readonly [
  reason: StreamReason,
  action: StreamAction,
  message: string,
  remedy?: string,
];

/** Judges a stream of which everything can be read, after one reading. */
export function evaluateStream(stream: ReplicationStream): StreamVerdict {
  const judgement = judgeStream(stream, {
    sourceReachable: true,
    isPublicationKnown: true,
    targetReachable: true,
    activity: undefined,
  });
  return { stream, ...judgement };
}

/** Judges a stream by what can be read of it. */
export function judgeStream(stream: JudgedStream, visible: StreamVisibility): StreamJudgement {
  const [reason, action, message, remedy] = findUnresumable(stream, visible) ??
    findUnknown(stream, visible) ?? decideApplier(stream);
  return {
    state: streamState({ slot: stream.slot, applier: stream.applier, ...visible }),
    reason,
    action,
    message,
    remedy,
  };
}

function findUnknown(
  { name, applier }: JudgedStream,
  { isPublicationKnown, targetReachable }: StreamVisibility,
): Finding | undefined {
  if (!targetReachable) return ["unknown", "refuse", `${name}: the target cannot be read`];
  // the publication's comment would say whether all rows are copied
  return applier === undefined && !isPublicationKnown
    ? ["unknown", "refuse", `${name}: the publications of the source cannot be read`]
    : undefined;
}

/** Why rows are missing, or changes can no longer be read; undefined if neither is known. */
function findUnresumable(
  stream: JudgedStream,
  { sourceReachable, isPublicationKnown, targetReachable }: StreamVisibility,
): Finding | undefined {
  const { name, slot, publication, applier, scopeComment } = stream;
  const isUnfinished = applier === undefined && scopeComment?.copiedAt === undefined;
  if (isUnfinished && targetReachable && isPublicationKnown) {
    return [
      "unfinished-copy",
      "refuse",
      `${name}: not all rows of ${
        plural(publication?.tables.length ?? 0, "table")
      } are on the target: a copy is running or was interrupted`,
      unfinishedRemedy(stream),
    ];
  }
  if (slot === undefined && sourceReachable) {
    return [
      "slot-missing",
      "refuse",
      `the slot ${name} no longer exists on the source: changes made since it was dropped are lost`,
      resnapshotRemedy,
    ];
  }
  if (slot !== undefined && isSlotLost(slot)) {
    const reason = slot.invalidationReason === undefined ? "" : ` (${slot.invalidationReason})`;
    return [
      "slot-lost",
      "refuse",
      `the slot ${name} is lost${reason}: the source has removed WAL that it needed`,
      `${resnapshotRemedy}; and raise max_slot_wal_keep_size on the source`,
    ];
  }
  return publication === undefined && isPublicationKnown
    ? [
      "publication-missing",
      "refuse",
      `the publication ${name} no longer exists on the source: the slot cannot deliver changes written since it was dropped`,
      resnapshotRemedy,
    ]
    : undefined;
}

function unfinishedRemedy(stream: JudgedStream): string {
  if (stream.epoch === 1) return "run init --enable-sync again, or cleanup to abandon the copy";
  const option = stream.scopeComment?.added === undefined ? "--resnapshot" : "--add-tables";
  return `run sync ${option} again for its tables${listOf(stream)}`;
}

function decideApplier({ name, applier }: JudgedStream): Finding {
  if (applier === undefined) {
    return ["not-handed-over", "hand-over", `the slot ${name} is waiting for its subscription`];
  }
  if (applier.kind === "client") return decideClient(name, applier);
  const { slotName, publications, enabled, applyErrors = 0 } = applier;
  if (slotName !== name) {
    return [
      slotName === undefined ? "detached" : "other-slot",
      "refuse",
      `the subscription ${name} ${
        slotName === undefined
          ? "was detached from its slot (slot_name = NONE)"
          : `reads the slot ${slotName}, not ${name}`
      }`,
      `if nothing else has read ${name} since: ALTER SUBSCRIPTION ${
        quoteIdentifier(name)
      } SET (slot_name = '${name}'); otherwise ${resnapshotRemedy}`,
    ];
  }
  if (!publications.includes(name)) {
    return [
      "other-publication",
      "refuse",
      `the subscription ${name} follows ${publications.join(", ")}, not ${name}`,
      `ALTER SUBSCRIPTION ${quoteIdentifier(name)} SET PUBLICATION ${
        quoteIdentifier(name)
      } WITH (refresh = false); then run verify, because changes of the other publication may have been applied`,
    ];
  }
  if (enabled) return ["enabled", "wait", `${name} is enabled`];
  return applyErrors > 0
    ? [
      "apply-error",
      "retry",
      `the subscription ${name} was stopped after ${plural(applyErrors, "apply error")}`,
      applyRemedy(),
    ]
    : ["disabled", "enable", `the subscription ${name} is disabled`];
}

function decideClient(name: string, { enabled, error }: ApplierReading): Finding {
  if (error !== undefined) {
    return error.finishLsn === undefined
      // no change can be retried or skipped: the source has not got what was applied
      ? [
        "apply-error",
        "refuse",
        `the stream ${name} was stopped: ${error.message}`,
        applyErrorRemedy(error),
      ]
      : [
        "apply-error",
        "retry",
        `the stream ${name} was stopped by a change that cannot be applied`,
        applyErrorRemedy(error),
      ];
  }
  return enabled
    ? ["enabled", "wait", `${name} is enabled`]
    : ["disabled", "enable", `the stream ${name} is stopped`];
}

function listOf({ publication }: JudgedStream): string {
  const names = publication?.tables.slice(0, 5).map(({ schema, name }) => `${schema}.${name}`) ??
    [];
  return names.length === 0
    ? ""
    : `: ${names.join(",")}${(publication?.tables.length ?? 0) > names.length ? ",…" : ""}`;
}
