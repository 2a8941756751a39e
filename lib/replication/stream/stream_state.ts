/**
 * What the state of a stream means, and what is to be done about it. Pure.
 *
 * @module
 */
import { plural, quoteIdentifier } from "../../core/internal.ts";
import type { ReplicationStream } from "./read_streams.ts";

/** In which state a stream is. */
export type StreamCondition =
  /** The subscription is on; whether it keeps up is for `status` to say. */
  | "following"
  /** The rows are in, and nobody applies changes yet: just what `sync` is for. */
  | "adoptable"
  /** The subscription was switched off. */
  | "disabled"
  /** An error of applying has switched it off, or happens again and again. */
  | "failed"
  /** The rows are not all in: a copy is under way or was interrupted. */
  | "unfinished"
  | "slot-missing"
  | "slot-lost"
  | "publication-missing"
  | "other-slot"
  | "other-publication";

/** A stream with what its state means. */
export interface StreamVerdict {
  readonly stream: ReplicationStream;
  readonly condition: StreamCondition;
  /** In a sentence. */
  readonly message: string;
  /** What to do; undefined where there is nothing to do, or `sync` does it. */
  readonly remedy: string | undefined;
}

const resnapshot =
  "copy its tables again with sync --resnapshot TABLES (or '*'); the others are not touched";

/** What to do about a change that cannot be applied. */
export const applyRemedy: string =
  "remove the cause on the target, then sync --retry; or sync --skip-lsn LSN to leave the transaction out";

/** Judges one stream. */
export function evaluateStream(stream: ReplicationStream): StreamVerdict {
  const verdict = (condition: StreamCondition, message: string, remedy?: string) => ({
    stream,
    condition,
    message,
    remedy,
  });
  const { name, slot, publication, subscription, descriptor } = stream;
  const copied = subscription !== undefined || descriptor?.copiedAt !== undefined;
  if (!copied) {
    return verdict(
      "unfinished",
      `${name}: the rows of ${
        plural(publication?.tables.length ?? 0, "table")
      } are not all on the target: a copy is under way or was interrupted`,
      stream.epoch === 1
        ? "run init --enable-sync again, or cleanup to give it up"
        : `run sync ${
          descriptor?.added === undefined ? "--resnapshot" : "--add-tables"
        } again for its tables${listOf(stream)}`,
    );
  }
  if (slot === undefined) {
    return verdict(
      "slot-missing",
      `the slot ${name} is not on the source any more: what was written since cannot be had from there`,
      resnapshot,
    );
  }
  if (slot.walStatus === "lost" || slot.invalidationReason !== undefined) {
    return verdict(
      "slot-lost",
      `the slot ${name} is lost${
        slot.invalidationReason === undefined ? "" : ` (${slot.invalidationReason})`
      }: the source has removed WAL that it needed`,
      `${resnapshot}; and raise max_slot_wal_keep_size on the source`,
    );
  }
  if (publication === undefined) {
    return verdict(
      "publication-missing",
      `the publication ${name} is not on the source any more: what was written without it cannot be read from the slot`,
      resnapshot,
    );
  }
  if (subscription === undefined) {
    return verdict("adoptable", `the slot ${name} waits for its subscription`);
  }
  if (subscription.slotName !== slot.name) {
    return verdict(
      "other-slot",
      `the subscription ${name} ${
        subscription.slotName === undefined
          ? "was taken off its slot (slot_name = NONE)"
          : `reads the slot ${subscription.slotName}, not ${slot.name}`
      }`,
      `if nothing else has read ${slot.name} since: ALTER SUBSCRIPTION ${
        quoteIdentifier(name)
      } SET (slot_name = '${slot.name}'); or else ${resnapshot}`,
    );
  }
  if (!subscription.publications.includes(name)) {
    return verdict(
      "other-publication",
      `the subscription ${name} follows ${subscription.publications.join(", ")}, not ${name}`,
      `ALTER SUBSCRIPTION ${quoteIdentifier(name)} SET PUBLICATION ${
        quoteIdentifier(name)
      } WITH (refresh = false); what came from the other one meanwhile is not known: verify tells`,
    );
  }
  if (subscription.enabled) return verdict("following", `${name} is on`);
  return (subscription.applyErrors ?? 0) > 0
    ? verdict(
      "failed",
      `the subscription ${name} was stopped after ${
        plural(subscription.applyErrors ?? 0, "error")
      } of applying a change`,
      applyRemedy,
    )
    : verdict("disabled", `the subscription ${name} is switched off`);
}

function listOf({ publication }: ReplicationStream): string {
  const names = publication?.tables.slice(0, 5).map(({ schema, name }) => `${schema}.${name}`) ??
    [];
  return names.length === 0
    ? ""
    : `: ${names.join(",")}${(publication?.tables.length ?? 0) > names.length ? ",…" : ""}`;
}

/** Whether `sync` can go on from the state without copying anything. */
export function canFollow({ condition }: StreamVerdict): boolean {
  return condition === "following" || condition === "adoptable" || condition === "disabled";
}
