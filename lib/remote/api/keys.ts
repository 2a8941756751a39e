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

const keyName = z.string().min(1).max(128).regex(/^[^\p{Cc}]*$/u, "contains a control character");

/** The body of `POST /v1/keys`. */
export const newKeySchema = z.strictObject({
  owner: keyName.meta({ description: "The user who owns the key and its jobs" }),
  name: keyName,
  scopes: z.array(z.enum(keyScopes)).min(1),
  expires_in_days: z.number().positive().max(3650).optional(),
  limits: limitsSchema.partial().optional(),
});

/** A key to create. */
export type NewKey = z.infer<typeof newKeySchema>;

/** The body of `POST /v1/keys/{id}/rotate`. */
export const rotationSchema = z.strictObject({
  overlap_seconds: z.int().min(0).max(90 * 86_400).default(86_400).meta({
    description: "How long the old key remains valid",
  }),
  expires_in_days: z.number().positive().max(3650).optional(),
});

/** Who performs an action, for the audit trail. */
export type Actor = Pick<AuditEntry, "actor" | "apiKeyPrefix" | "traceId" | "address">;

/** A new key, including the key itself, which is shown only once. */
export interface CreatedKey {
  readonly row: ApiKeyRow;
  readonly key: string;
}

/** Creates a key, within a transaction. */
export async function createKey(
  session: Session,
  input: NewKey,
  actor: Actor,
): Promise<CreatedKey> {
  const limits = input.limits ?? {};
  const made = await makeApiKey();
  const row = await insertKey(session, made, {
    owner: input.owner,
    name: input.name,
    scopes: input.scopes,
    expiresAt: expiry(input.expires_in_days),
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
 * Creates a successor of a key, within a transaction. Both share the owner, scopes and limits, and
 * the old key remains valid for a while.
 *
 * @returns undefined if the key does not exist, is revoked, or already has a successor
 */
export async function rotateKey(
  session: Session,
  { id, overlapSeconds, expiresInDays }: {
    readonly id: string;
    readonly overlapSeconds: number;
    readonly expiresInDays: number | undefined;
  },
  actor: Actor,
): Promise<CreatedKey | undefined> {
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
 * Revokes a key immediately, within a transaction. Returns false if it does not exist or was
 * already revoked.
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
