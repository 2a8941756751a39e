/**
 * What our slots, publications and subscriptions are called: found again by anyone who knows the
 * scope, and by cleanup without knowing it.
 *
 * @module
 */
import { tableFingerprint } from "./scope.ts";
import type { ReplicationScope } from "./scope.ts";

/**
 * The names of one stream of changes. Slot, publication and subscription are namesakes, in three
 * namespaces.
 */
export interface ReplicationNames {
  /** On the source's server: lower-case letters, digits and underscores, at most 63 bytes. */
  readonly slot: string;
  /** In the source's database. */
  readonly publication: string;
  /** In the target's database. */
  readonly subscription: string;
}

/** What a name of ours says. */
export interface NameParts {
  /** Of the scope: 16 hexadecimal digits. */
  readonly hash: string;
  /**
   * 1 for the first snapshot of a scope; tables that were copied under a later one have a later
   * epoch.
   */
  readonly epoch: number;
}

/** What every name of ours begins with. */
export const namePrefix = "seren_";

/**
 * The names of a scope's stream of changes.
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

/** Reads a name of ours; undefined for anybody else's. */
export function parseReplicationName(name: string): NameParts | undefined {
  const match = /^seren_([0-9a-f]{16})(?:_e([1-9]\d{0,5}))?$/.exec(name);
  const [, hash, epoch = "1"] = match ?? [];
  if (hash === undefined || (match?.[2] !== undefined && epoch === "1")) return undefined;
  return { hash, epoch: Number(epoch) };
}

/**
 * 16 hexadecimal digits, equal for equal scopes; the moment that time windows reach back from does
 * not count.
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
