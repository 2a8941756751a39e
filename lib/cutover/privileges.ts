/**
 * What the roles must be allowed for `prepare`, besides owning the tables. Pure.
 *
 * @module
 */
import {
  displayName,
  nameSome,
  plural,
  quoteIdentifier,
  type Side,
  type TableName,
} from "../core/internal.ts";

/** What the role of one side may do. */
export interface RoleFacts {
  /** The session's role. */
  readonly role: string;
  /** Whether it may write functions in PL/pgSQL. */
  readonly mayUsePlpgsql: boolean;
  /** Tables that it owns and may not create triggers on, or whose schema it may not use. */
  readonly withoutTrigger: readonly TableName[];
}

/** What the way back needs. */
export interface WayBackFacts {
  /** Version of the source's server. */
  readonly major: number;
  /** Whether the source's role may create subscriptions. */
  readonly maySubscribe: boolean;
  /** `max_logical_replication_workers` of the source. */
  readonly maxWorkers: number;
  /** Whether the target's role may create replication slots. */
  readonly mayReplicate: boolean;
  /** The role as which the source's server connects to the target. */
  readonly user: string;
  /** Whether it may stream changes; undefined if the target does not have it. */
  readonly userMayReplicate: boolean | undefined;
  /** Tables whose changes the target could not publish, and why. */
  readonly unpublishable: readonly (TableName & { readonly reason: string })[];
  /**
   * Why the source's server cannot connect to the target; undefined if it can, or was not tested.
   */
  readonly unreached: { readonly message: string; readonly remedy: string | undefined } | undefined;
}

/** Privileges that `prepare` needs. */
export interface PrivilegeFacts {
  readonly source: RoleFacts;
  readonly target: RoleFacts;
  /** Streams whose publication the source's role does not own. */
  readonly publications: readonly string[];
  /** Streams whose subscription the target's role does not own. */
  readonly subscriptions: readonly string[];
  /** Undefined without a way back. */
  readonly wayBack: WayBackFacts | undefined;
}

/** One missing privilege. */
export interface MissingPrivilege {
  readonly side: Side;
  readonly message: string;
  readonly remedy: string | undefined;
}

/** Everything that the roles lack. */
export function missingPrivileges(
  facts: PrivilegeFacts | undefined,
): readonly MissingPrivilege[] {
  if (facts === undefined) return [];
  const { source, target, publications, subscriptions, wayBack } = facts;
  return [
    ...missingOf("source", source),
    ...missingOf("target", target),
    ...publications.map((name): MissingPrivilege => ({
      side: "source",
      message: `${source.role} does not own the publication ${name}, and cannot add tokens to it`,
      remedy: "connect as its owner or a superuser",
    })),
    ...subscriptions.map((name): MissingPrivilege => ({
      side: "target",
      message: `${target.role} does not own the subscription ${name}, and cannot add tokens to it`,
      remedy: "connect as its owner or a superuser",
    })),
    ...(wayBack === undefined ? [] : missingForWayBack(wayBack, { source, target })),
  ];
}

function missingOf(
  side: Side,
  { role, mayUsePlpgsql, withoutTrigger }: RoleFacts,
): readonly MissingPrivilege[] {
  return [
    ...(mayUsePlpgsql ? [] : [{
      side,
      message: `${role} may not use the language plpgsql, in which the fence is written`,
      remedy: `GRANT USAGE ON LANGUAGE plpgsql TO ${quoteIdentifier(role)};`,
    }]),
    ...(withoutTrigger.length === 0 ? [] : [{
      side,
      message: `${role} may not create triggers on ${plural(withoutTrigger.length, "table")}: ${
        nameSome(withoutTrigger)
      }`,
      remedy: `GRANT TRIGGER on the tables, and USAGE on their schemas, TO ${
        quoteIdentifier(role)
      };`,
    }]),
  ];
}

const orNone = "; or --way-back none";

function missingForWayBack(
  wayBack: WayBackFacts,
  { source, target }: Pick<PrivilegeFacts, "source" | "target">,
): readonly MissingPrivilege[] {
  const missing: MissingPrivilege[] = [];
  const add = (side: Side, message: string, remedy: string | undefined) =>
    void missing.push({ side, message, remedy });
  if (!wayBack.maySubscribe) {
    add(
      "source",
      `${source.role} may not create subscriptions, which the way back needs`,
      (wayBack.major >= 16
        ? `GRANT pg_create_subscription TO ${quoteIdentifier(source.role)};`
        : "connect as a superuser or the provider's admin role: before 16, no other role can create subscriptions") +
        orNone,
    );
  }
  if (wayBack.maxWorkers < 1) {
    add(
      "source",
      "max_logical_replication_workers is 0: nothing would apply the way back",
      `ALTER SYSTEM SET max_logical_replication_workers = 4 (needs a restart)${orNone}`,
    );
  }
  if (!wayBack.mayReplicate) {
    add(
      "target",
      `${target.role} may not create replication slots, which the way back needs`,
      `ALTER ROLE ${
        quoteIdentifier(target.role)
      } REPLICATION; (on RDS: GRANT rds_replication TO the role)${orNone}`,
    );
  }
  const { user, userMayReplicate } = wayBack;
  if (user !== target.role && userMayReplicate !== true) {
    add(
      "target",
      userMayReplicate === undefined
        ? `the role ${user} of --target-from-source does not exist`
        : `${user}, as which the source would connect for the way back, may not replicate`,
      `${
        userMayReplicate === undefined
          ? `CREATE ROLE ${quoteIdentifier(user)} LOGIN REPLICATION`
          : `ALTER ROLE ${quoteIdentifier(user)} REPLICATION`
      }; or set another role with --target-from-source${orNone}`,
    );
  }
  for (const { reason, ...table } of wayBack.unpublishable) {
    add(
      "target",
      `changes of ${displayName(table)} cannot be sent back: ${reason}`,
      `give the table a primary key${orNone}`,
    );
  }
  if (wayBack.unreached !== undefined) {
    add("source", wayBack.unreached.message, `${wayBack.unreached.remedy ?? ""}${orNone}`);
  }
  return missing;
}
