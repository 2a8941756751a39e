/**
 * Names of the tool's slots, publications and subscriptions. They follow from the scope, and
 * cleanup recognizes them without knowing it.
 *
 * @module
 */
import { tableFingerprint } from "./scope.ts";
import type { ReplicationScope } from "./scope.ts";

/** The names of one stream. Slot, publication and subscription share one name. */
export interface ReplicationNames {
  /** On the source's server: lower-case letters, digits and underscores, at most 63 bytes. */
  readonly slot: string;
  /** In the source's database. */
  readonly publication: string;
  /** In the target's database. */
  readonly subscription: string;
}

/** The parts of a name. */
export interface NameParts {
  /** The hash of the scope: 16 hexadecimal digits. */
  readonly hash: string;
  /** The snapshot generation: 1 for the first snapshot of a scope, higher for later ones. */
  readonly epoch: number;
}

/** The prefix of every name. */
const namePrefix = "seren_";

/**
 * The names of a stream.
 *
 * Source: PostgreSQL documentation, "26.2.6.1. Querying and Manipulating Replication Slots" (legal
 * names).
 *
 * @param epoch from 1
 */
export function replicationNames({ hash, epoch }: NameParts): ReplicationNames {
  const name = `${namePrefix}${hash}${epoch === 1 ? "" : `_e${epoch}`}`;
  return { slot: name, publication: name, subscription: name };
}

/** Parses a name; undefined if the tool does not form such names. */
export function parseReplicationName(name: string): NameParts | undefined {
  const match = /^seren_([0-9a-f]{16})(?:_e([1-9]\d{0,5}))?$/.exec(name);
  const [, hash, epoch = "1"] = match ?? [];
  if (hash === undefined || (match?.[2] !== undefined && epoch === "1")) return undefined;
  return { hash, epoch: Number(epoch) };
}

/**
 * The hash of a scope: 16 hexadecimal digits. It does not depend on the moment from which time
 * windows reach back.
 */
export async function scopeHash(scope: ReplicationScope): Promise<string> {
  const canonical = JSON.stringify([
    "replication 1",
    scope.source.system,
    scope.source.database,
    scope.target.system,
    scope.target.database,
    await tableFingerprint(scope),
  ]);
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(canonical));
  return new Uint8Array(digest).toHex().slice(0, 16);
}
