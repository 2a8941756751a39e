/**
 * Continuous replication: slots, publications and subscriptions, what state they are in, and how
 * far they have come.
 *
 * Requires `--allow-net` for both servers.
 *
 * @example List what the tool owns on a source
 * ```ts
 * import { openSession, resolveEndpoint } from "@seren/postgres-replicator/postgres";
 * import { listOwnedSlots } from "@seren/postgres-replicator/replication";
 *
 * await using source = await openSession(
 *   await resolveEndpoint(Deno.env.get("SOURCE_URL")!, { side: "source" }),
 * );
 * for (const { name } of await listOwnedSlots(source)) console.log(name);
 * ```
 *
 * @module
 */
export type { IdentityPolicy } from "../config/internal.ts";
export {
  type AppliedStream,
  type AppliedTable,
  type AppliedWork,
  type Applier,
  type ApplierKind,
  applierKinds,
  type ApplierOptions,
  type ApplierProgress,
  type ApplierReading,
  type ApplierState,
  type ApplyBlocker,
  type ApplyError,
  type ApplyErrorDiagnosis,
  type ChangedIdentity,
  commentTool,
  type DatabaseRef,
  diagnoseApplyError,
  type DiagnoseOptions,
  evaluateStream,
  type HarmfulSetting,
  type IdentityKind,
  type LeftIdentity,
  listOwnedPublications,
  listOwnedSlots,
  listOwnedSubscriptions,
  type NameParts,
  openApplier,
  type OpenApplierOptions,
  type OwnedPublication,
  type OwnedSlot,
  type OwnedSubscription,
  type PendingTransaction,
  type PublicationState,
  type PublishableIdentity,
  readReplicaIdentities,
  readSlots,
  readStreams,
  readSubscriptions,
  type ReplicationNames,
  type ReplicationStream,
  type RowChange,
  type ScopeComment,
  type SlotState,
  type StreamAction,
  type StreamJudgement,
  type StreamReason,
  type StreamState,
  streamStates,
  type StreamVerdict,
  type SubscriptionAccess,
  type SubscriptionOrigin,
  type SubscriptionState,
  type TableState,
  tableStates,
  waitForLsn,
  type WaitForLsnOptions,
  type WalStatus,
  walStatuses,
  type WorkerSetting,
} from "./internal.ts";
