import { z } from "zod";
import type { Session } from "../../postgres/internal.ts";
import { type KeyScope, keyScopes, makeApiKey } from "../keys/mod.ts";
import {
  type ApiKeyRow,
  appendAudit,
  type AuditEntry,
  defaultLimits,
  findKey,
  insertKey,
  type KeyLimits,
  replaceKey,
  revokeKey,
} from "../store/mod.ts";
import { limitsSchema } from "./views.ts";

const name = z.string().min(1).max(128).regex(/^[^\p{Cc}]*$/u, "has a control character");

/** What a new key is to be: `POST /v1/keys`. */
export const newKeySchema = z.strictObject({
  owner: name.meta({ description: "The user that it belongs to; jobs belong to the user" }),
  name,
  scopes: z.array(z.enum(keyScopes)).min(1),
  expires_in_days: z.number().positive().max(3650).optional(),
  limits: limitsSchema.partial().optional(),
});

/** What a new key is to be. */
export type NewKey = z.infer<typeof newKeySchema>;

/** How a key is replaced: `POST /v1/keys/{id}/rotate`. */
export const rotationSchema = z.strictObject({
  overlap_seconds: z.int().min(0).max(90 * 86_400).default(86_400).meta({
    description: "How long the old key goes on",
  }),
  expires_in_days: z.number().positive().max(3650).optional(),
});

/** Who does it, for the audit trail. */
export type Actor = Pick<AuditEntry, "actor" | "apiKeyPrefix" | "traceId" | "address">;

/** A key that was just made, with the key itself: shown this once. */
export interface MadeKey {
  readonly row: ApiKeyRow;
  readonly key: string;
}

/** Makes a key, within a transaction. */
export async function createKey(session: Session, wanted: NewKey, actor: Actor): Promise<MadeKey> {
  const limits = wanted.limits ?? {};
  const made = await makeApiKey();
  const row = await insertKey(session, made, {
    owner: wanted.owner,
    name: wanted.name,
    scopes: wanted.scopes,
    expiresAt: expiry(wanted.expires_in_days),
    createdBy: actor.actor,
    requestsPerSecond: limits.requests_per_second ?? defaultLimits.requestsPerSecond,
    requestBurst: limits.request_burst ?? defaultLimits.requestBurst,
    maxRunning: limits.most_running ?? defaultLimits.maxRunning,
    maxQueued: limits.most_queued ?? defaultLimits.maxQueued,
    jobsPerDay: limits.jobs_per_day ?? defaultLimits.jobsPerDay,
  });
  await appendAudit(session, {
    ...actor,
    action: "key.create",
    object: row.id,
    outcome: "done",
    details: { owner: row.owner, prefix: row.prefix, scopes: row.scopes },
  });
  return { row, key: made.key };
}

/**
 * Makes a successor of a key, with the same owner, scopes and limits, which both share; the old one
 * goes on for a while. Within a transaction.
 *
 * @returns undefined when there is no such key, or it is revoked already
 */
export async function rotateKey(
  session: Session,
  { id, overlapSeconds, expiresInDays }: {
    readonly id: string;
    readonly overlapSeconds: number;
    readonly expiresInDays: number | undefined;
  },
  actor: Actor,
): Promise<MadeKey | undefined> {
  const old = await findKey(session, id);
  if (old === undefined || old.revokedAt !== null || old.replacedBy !== null) return undefined;
  const made = await makeApiKey();
  const limits: KeyLimits = old;
  const row = await insertKey(session, made, {
    ...limits,
    limitsId: old.limitsId,
    owner: old.owner,
    name: old.name,
    scopes: old.scopes as readonly KeyScope[],
    createdBy: actor.actor,
    expiresAt: expiry(expiresInDays),
  });
  await replaceKey(session, id, { by: row.id, overlapSeconds });
  await appendAudit(session, {
    ...actor,
    action: "key.rotate",
    object: id,
    outcome: "done",
    details: { successor: row.id, prefix: row.prefix, overlap_seconds: overlapSeconds },
  });
  return { row, key: made.key };
}

/**
 * Ends a key at once, within a transaction. Returns false when there is none that could be ended.
 */
export async function endKey(session: Session, id: string, actor: Actor): Promise<boolean> {
  const done = await revokeKey(session, id);
  if (done) {
    await appendAudit(session, { ...actor, action: "key.revoke", object: id, outcome: "done" });
  }
  return done;
}

function expiry(days: number | undefined): Date | undefined {
  return days === undefined ? undefined : new Date(Date.now() + days * 86_400_000);
}
