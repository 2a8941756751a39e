/**
 * What `sync` does with a stream, by its state. Pure.
 *
 * @module
 */
import { plural, quoteIdentifier } from "../../core/internal.ts";
import { applyRemedy } from "../progress/describe_apply_error.ts";
import type { ApplierReading } from "../read_appliers.ts";
import type { ReplicationStream } from "./read_streams.ts";
import { isSlotLost, type StreamState, streamState } from "./stream_state.ts";

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

/** A stream, its state, and what `sync` does with it. */
export interface StreamVerdict {
  /** The stream, with those of its objects that exist. */
  readonly stream: ReplicationStream;
  /** `streaming`, `blocked`, `failing`, …; see {@linkcode streamStates}. */
  readonly state: StreamState;
  /** What `sync` does with it: `wait`, `hand-over`, `enable`, `retry` or `refuse`. */
  readonly action: StreamAction;
  /** The state in a sentence. */
  readonly message: string;
  /** What the user can do; undefined if nothing needs doing, or `sync` does it. */
  readonly remedy: string | undefined;
}

const resnapshot =
  "copy its tables again with sync --resnapshot TABLES (or '*'); other tables are not affected";

type Finding = readonly [action: StreamAction, message: string, remedy?: string];

/** Decides what `sync` does with a stream. */
export function evaluateStream(stream: ReplicationStream): StreamVerdict {
  const [action, message, remedy] = findUnresumable(stream) ?? decideApplier(stream);
  return {
    stream,
    state: streamState({
      slot: stream.slot,
      applier: stream.applier,
      sourceReachable: true,
      targetReachable: true,
      activity: undefined,
    }),
    action,
    message,
    remedy,
  };
}

/** Why rows are missing, or changes can no longer be read; undefined if neither is so. */
function findUnresumable(stream: ReplicationStream): Finding | undefined {
  const { name, slot, publication, applier, scopeComment } = stream;
  if (applier === undefined && scopeComment?.copiedAt === undefined) {
    return [
      "refuse",
      `${name}: not all rows of ${
        plural(publication?.tables.length ?? 0, "table")
      } are on the target: a copy is running or was interrupted`,
      unfinishedRemedy(stream),
    ];
  }
  if (slot === undefined) {
    return [
      "refuse",
      `the slot ${name} no longer exists on the source: changes made since it was dropped are lost`,
      resnapshot,
    ];
  }
  if (isSlotLost(slot)) {
    const reason = slot.invalidationReason === undefined ? "" : ` (${slot.invalidationReason})`;
    return [
      "refuse",
      `the slot ${name} is lost${reason}: the source has removed WAL that it needed`,
      `${resnapshot}; and raise max_slot_wal_keep_size on the source`,
    ];
  }
  return publication === undefined
    ? [
      "refuse",
      `the publication ${name} no longer exists on the source: the slot cannot deliver changes written since it was dropped`,
      resnapshot,
    ]
    : undefined;
}

function unfinishedRemedy(stream: ReplicationStream): string {
  if (stream.epoch === 1) return "run init --enable-sync again, or cleanup to abandon the copy";
  const option = stream.scopeComment?.added === undefined ? "--resnapshot" : "--add-tables";
  return `run sync ${option} again for its tables${listOf(stream)}`;
}

function decideApplier({ name, applier }: ReplicationStream): Finding {
  if (applier === undefined) {
    return ["hand-over", `the slot ${name} is waiting for its subscription`];
  }
  if (applier.kind === "client") return decideClient(name, applier);
  const { slotName, publications, enabled, applyErrors = 0 } = applier;
  if (slotName !== name) {
    return [
      "refuse",
      `the subscription ${name} ${
        slotName === undefined
          ? "was detached from its slot (slot_name = NONE)"
          : `reads the slot ${slotName}, not ${name}`
      }`,
      `if nothing else has read ${name} since: ALTER SUBSCRIPTION ${
        quoteIdentifier(name)
      } SET (slot_name = '${name}'); otherwise ${resnapshot}`,
    ];
  }
  if (!publications.includes(name)) {
    return [
      "refuse",
      `the subscription ${name} follows ${publications.join(", ")}, not ${name}`,
      `ALTER SUBSCRIPTION ${quoteIdentifier(name)} SET PUBLICATION ${
        quoteIdentifier(name)
      } WITH (refresh = false); then run verify, because changes of the other publication may have been applied`,
    ];
  }
  if (enabled) return ["wait", `${name} is enabled`];
  return applyErrors > 0
    ? [
      "retry",
      `the subscription ${name} was stopped after ${plural(applyErrors, "apply error")}`,
      applyRemedy(),
    ]
    : ["enable", `the subscription ${name} is disabled`];
}

function decideClient(name: string, { enabled, error }: ApplierReading): Finding {
  if (error !== undefined) {
    return [
      "retry",
      `the stream ${name} was stopped by a change that cannot be applied`,
      applyRemedy(error.finishLsn),
    ];
  }
  return enabled ? ["wait", `${name} is enabled`] : ["enable", `the stream ${name} is stopped`];
}

function listOf({ publication }: ReplicationStream): string {
  const names = publication?.tables.slice(0, 5).map(({ schema, name }) => `${schema}.${name}`) ??
    [];
  return names.length === 0
    ? ""
    : `: ${names.join(",")}${(publication?.tables.length ?? 0) > names.length ? ",…" : ""}`;
}
