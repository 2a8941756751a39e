/**
 * Rules that recognize expected differences: what the target cannot have, what a copy cannot
 * transfer, and what differs between versions. Without a reason here, it remains a difference.
 *
 * @module
 */
import { displayName, type Side, tableKey } from "../../core/internal.ts";
import type { Consequences } from "../../rules/internal.ts";
import { providerRole } from "../../schema/globals/provider_roles.ts";
import { introducedIn } from "./versions.ts";
import { granteeOf } from "./diff_grants.ts";
import type { FoundDifference } from "./found.ts";
import type { StructureDifference } from "./difference.ts";
import type { Structure } from "./model.ts";

/** The context of a {@linkcode ReasonRule}. */
export interface ReasonContext {
  readonly source: Structure;
  readonly target: Structure;
  readonly consequences?: Consequences | undefined;
  readonly closedSides?: readonly Side[] | undefined;
}

/** Turns the difference into a note if a rule gives a reason for it. */
export function withReason(found: FoundDifference, context: ReasonContext): StructureDifference {
  for (const rule of reasonRules) {
    const reason = rule(found, context);
    if (reason !== undefined) return { ...found.difference, severity: "note", reason };
  }
  return found.difference;
}

type ReasonRule = (found: FoundDifference, context: ReasonContext) => string | undefined;

const role = (name: string) => `role ${displayName({ schema: "public", name })}`;

const noSuchRole: ReasonRule = ({ difference, source, target }, { target: { roles } }) => {
  const missing = (name: string | undefined) =>
    name !== undefined && !roles.has(name)
      ? `${role(name)} does not exist on the target`
      : undefined;
  if (difference.property === "owner") return missing(source?.owner);
  const grantee = granteeOf(difference, { source, target } as never);
  if (typeof grantee === "string") return missing(grantee);
  if (difference.change !== "missing" || source === undefined) return undefined;
  switch (source.kind) {
    case "setting":
    case "default privileges":
    case "large objects":
      return missing(source.parent);
    case "user mapping":
      return source.name === "public" ? undefined : missing(source.name);
    default:
      return undefined;
  }
};

/** A role that is not a superuser can act only as roles it is a member of. */
const cannotActAsOwner: ReasonRule = (
  { difference, source, target },
  { target: { user, actsAs } },
) => {
  const cannotActAs = (owner: string | undefined) =>
    owner === undefined || actsAs.has(owner)
      ? undefined
      : `${role(user)} is not a member of ${role(owner)} on the target and cannot act as that role`;
  if (difference.property === "owner") {
    return target?.owner === user ? cannotActAs(source?.owner) : undefined;
  }
  return difference.change === "missing" &&
      (source?.kind === "default privileges" || source?.kind === "large objects")
    ? cannotActAs(source.parent)
    : undefined;
};

/** Large objects belong to the role that copied them unless it was a superuser. */
const largeObjectOwner: ReasonRule = ({ difference, target }, { source, target: other }) => {
  if (target?.kind !== "large objects" || difference.change === "missing") return undefined;
  if (target.parent !== other.user) return undefined;
  const others = [...source.objects.values()].some(({ kind, parent }) =>
    kind === "large objects" && parent !== undefined && !other.actsAs.has(parent)
  );
  return others ? `${role(other.user)} could not change their owners` : undefined;
};

const ofTheProvider: ReasonRule = ({ difference, source, target }, context) => {
  const grantee = granteeOf(difference, { source, target } as never);
  if (typeof grantee !== "string" || difference.source !== undefined) return undefined;
  const provider = providerRole(grantee);
  return provider === undefined || context.source.roles.has(grantee)
    ? undefined
    : `${role(grantee)} belongs to ${provider.provider}`;
};

const ofExtensions: ReasonRule = ({ difference, source, target }) => {
  if ((source ?? target)?.kind !== "extension") return undefined;
  if (difference.property === "version") {
    return "the target has its own default version; ALTER EXTENSION … UPDATE installs the latest";
  }
  return difference.change === "extra"
    ? "it may be required by the target's provider and is harmless"
    : undefined;
};

const ofTheVersion: ReasonRule = ({ difference, source, target }, context) => {
  const [from, to] = [context.source.majorVersion, context.target.majorVersion];
  const kind = (source ?? target)?.kind ?? "";
  const { property = "" } = difference;
  const since = source === undefined ? undefined : introducedIn(source, property);
  if (since !== undefined && to < since) return `available since PostgreSQL ${since}`;
  if (kind === "schema" && source?.name === "public" && from >= 15 && to < 15) {
    if (property === "privileges of PUBLIC") {
      return "before version 15 every role may create objects in public, unless that privilege is revoked";
    }
    if (source.owner === "pg_database_owner") {
      return "pg_database_owner exists since version 14 and owns public since version 15";
    }
  }
  return undefined;
};

const notNullByColumn: ReasonRule = ({ difference, source, target }) =>
  (source ?? target)?.facts.kind === "not null" && difference.change !== "changed"
    ? "only the constraint's name may differ; NOT NULL itself is compared with the column"
    : undefined;

/** What pg_dump does not preserve. */
const notPreservedByDump: ReasonRule = ({ difference, source }) => {
  if (source?.kind === "index" && difference.change === "missing" && source.facts.valid === false) {
    return "it is invalid on the source, left over from a failed CREATE INDEX CONCURRENTLY; nothing is lost";
  }
  if (
    difference.property === "order of columns" && typeof source?.facts["inherits from"] === "string"
  ) {
    return "a dump puts inherited columns first";
  }
  return undefined;
};

const ofTheRules: ReasonRule = ({ difference, source }, { consequences }) => {
  if (difference.property !== "validated" || source?.facts.validated !== true) return undefined;
  const doubtful = consequences?.doubtfulKeys.some(({ table, name }) =>
    name === source.name &&
    tableKey(table) === tableKey({ schema: source.schema ?? "", name: source.parent ?? "" })
  );
  return doubtful === true ? "the rules exclude rows that it may reference" : undefined;
};

const ofTheServer: ReasonRule = ({ difference }) =>
  difference.property === "tablespace"
    ? "tablespaces belong to the server and do not affect the data"
    : undefined;

/** A cutover makes the closed side read-only by default; opening it removes the setting. */
const ofTheCutover: ReasonRule = ({ source, target }, { closedSides = [] }) => {
  const side = closedSides.find((each) => {
    const object = each === "source" ? source : target;
    return object?.kind === "setting" && object.parent === undefined &&
      object.name === "default_transaction_read_only" && object.facts.value === "on";
  });
  return side === undefined ? undefined : `the cutover set it when it closed the ${side}`;
};

const reasonRules: readonly ReasonRule[] = [
  noSuchRole,
  cannotActAsOwner,
  largeObjectOwner,
  ofTheProvider,
  ofExtensions,
  ofTheVersion,
  notNullByColumn,
  notPreservedByDump,
  ofTheRules,
  ofTheServer,
  ofTheCutover,
];
