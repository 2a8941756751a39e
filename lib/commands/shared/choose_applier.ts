/**
 * What will apply the changes of a stream: a subscription of the target's server, or this tool.
 *
 * @module
 */
import { maySubscribe, originLimit, readRolePrivileges } from "../../catalog/internal.ts";
import { ExitCode, ReplicatorError } from "../../core/internal.ts";
import type { Session } from "../../postgres/internal.ts";
import type {
  ApplierKind,
  ApplierReading,
  SubscriptionAccess,
} from "../../replication/internal.ts";
import { loadReplication } from "./load_replication.ts";
import type { ApplySettings } from "./run.ts";

/** What applies the changes, and why. */
export interface ApplierChoice {
  readonly kind: ApplierKind;
  /** Why it is not a subscription, one line each; empty if it is one, or was requested. */
  readonly reasons: readonly string[];
  /** Whether a subscription was tested: the target's server reaches the source. */
  readonly isTested: boolean;
}

/** The choice without a subscription, as requested. */
export const clientAsRequested: ApplierChoice = {
  kind: "client",
  reasons: [],
  isTested: false,
};

/** The choice of a subscription that was not tested. */
export const subscriptionAsRequested: ApplierChoice = {
  kind: "subscription",
  reasons: [],
  isTested: false,
};

/** What {@linkcode chooseApplier} takes. */
export interface ChooseApplierOptions {
  /** A session on the target's server. */
  readonly target: Session;
  /** How the target's server would connect to the source. */
  readonly access: SubscriptionAccess;
  readonly settings: ApplySettings;
  /** Databases that will follow, each with a subscription. */
  readonly databases: number;
}

/**
 * Whether the user has asked for a subscription: also by saying how the target's server reaches the
 * source.
 */
export function wantsSubscription(
  { applyFrom, sourceFromTarget, passfile }: ApplySettings,
): boolean {
  return applyFrom === "target" ||
    applyFrom === "auto" && (sourceFromTarget !== undefined || passfile !== undefined);
}

/** Chooses what applies the changes of new streams. */
export async function chooseApplier(options: ChooseApplierOptions): Promise<ApplierChoice> {
  const { settings } = options;
  if (wantsSubscription(settings)) return subscriptionAsRequested;
  const tested = settings.applyFrom === "here" ? undefined : await testSubscription(options);
  if (tested !== undefined && tested.problems.length === 0) {
    return { kind: "subscription", reasons: [], isTested: tested.isTested };
  }
  return { ...clientAsRequested, reasons: tested?.problems ?? [] };
}

interface SubscriptionTest {
  /** Why the target cannot subscribe to the source, one line each; empty if it can. */
  readonly problems: readonly string[];
  /** False if the role may not create objects in the session's database. */
  readonly isTested: boolean;
}

async function testSubscription(
  { target, access, databases }: ChooseApplierOptions,
): Promise<SubscriptionTest> {
  const role = await readRolePrivileges(target);
  const problems = [
    ...(maySubscribe(role) ? [] : [`${role.name} may not create subscriptions`]),
    ...await findLowLimits(target, databases),
  ];
  if (problems.length > 0) return { problems, isTested: true };
  const { probeSubscription } = await loadReplication();
  try {
    return { problems, isTested: await probeSubscription({ session: target, ...access }) };
  } catch (error) {
    const isReason = error instanceof ReplicatorError && target.isOpen &&
      error.exitCode === ExitCode.prerequisite;
    if (!isReason) throw error;
    return { problems: [[error.message, ...error.details].join(": ")], isTested: true };
  }
}

const limitStatement = `
  SELECT s.name, s.setting::pg_catalog.int4 AS value
    FROM pg_catalog.pg_settings AS s
   WHERE s.name IN ('max_logical_replication_workers', $1, 'max_worker_processes')`;

async function findLowLimits(session: Session, databases: number): Promise<readonly string[]> {
  const limits = await session.query<{ readonly name: string; readonly value: number }>(
    limitStatement,
    [originLimit(session.majorVersion)],
  );
  return limits.flatMap(({ name, value }) => {
    const needed = name === "max_worker_processes" ? databases + 1 : databases;
    return value >= needed ? [] : [`${name} is ${value}, sync needs at least ${needed}`];
  });
}

/** The choice in a sentence. */
export function describeApplierChoice(
  { kind, reasons }: Pick<ApplierChoice, "kind" | "reasons">,
): string {
  if (kind === "subscription") return "a subscription of the target applies the changes";
  const why = reasons.length === 0 ? "" : `: ${reasons.join("; ")}`;
  return `this tool applies the changes, so sync must keep running${why}`;
}

/**
 * What applies the changes of a further stream between databases that streams exist between: the
 * same as theirs.
 *
 * @throws ReplicatorError (prerequisite) if something else was requested
 */
export function sameAsExisting(
  appliers: readonly Pick<ApplierReading, "name" | "kind">[],
  { applyFrom }: Pick<ApplySettings, "applyFrom">,
): ApplierKind | undefined {
  const wanted = { auto: undefined, here: "client", target: "subscription" }[applyFrom];
  const other = appliers.find(({ kind }) => wanted !== undefined && kind !== wanted);
  if (other === undefined) return appliers[0]?.kind;
  throw new ReplicatorError(
    `--apply-from ${applyFrom}: the changes of the stream ${other.name} are applied by ${
      other.kind === "client" ? "this tool" : "a subscription of the target"
    }, which an existing stream keeps; nothing was changed`,
    {
      side: "target",
      remedy:
        "omit the option; or remove replication with cleanup, and start over with init --enable-sync",
      exitCode: ExitCode.prerequisite,
    },
  );
}
