/**
 * Differences that are to be expected, and why: what the target cannot have, what a copy cannot
 * carry over, what the versions make of it. Whatever has no reason here stays a difference.
 *
 * @module
 */
import { displayName, tableKey } from "../../core/internal.ts";
import type { Consequences } from "../../rules/internal.ts";
import { providerRole } from "../../schema/internal.ts";
import { broughtBy } from "./versions.ts";
import { granteeOf } from "./diff_grants.ts";
import type { FoundDifference } from "./found.ts";
import type { StructureDifference } from "./difference.ts";
import type { Structure } from "./model.ts";

/** What a reason may depend on. */
export interface ReasonContext {
  readonly source: Structure;
  readonly target: Structure;
  readonly consequences?: Consequences | undefined;
}

/** The difference as a note where there is a reason for it. */
export function withReason(found: FoundDifference, context: ReasonContext): StructureDifference {
  for (const look of reasons) {
    const reason = look(found, context);
    if (reason !== undefined) return { ...found.difference, severity: "note", reason };
  }
  return found.difference;
}

type Look = (found: FoundDifference, context: ReasonContext) => string | undefined;

const role = (name: string) => `role ${displayName({ schema: "public", name })}`;

const noSuchRole: Look = ({ difference, source, target }, { target: { roles } }) => {
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

/** A role that is no superuser can act only as roles that it is a member of. */
const couldNotGive: Look = ({ difference, source, target }, { target: { user, actsAs } }) => {
  const cannotActAs = (owner: string | undefined) =>
    owner === undefined || actsAs.has(owner)
      ? undefined
      : `${role(user)} is no member of ${role(owner)} on the target and cannot act for it`;
  if (difference.property === "owner") {
    return target?.owner === user ? cannotActAs(source?.owner) : undefined;
  }
  return difference.change === "missing" &&
      (source?.kind === "default privileges" || source?.kind === "large objects")
    ? cannotActAs(source.parent)
    : undefined;
};

/** They belong to whoever has copied them, where that was no superuser. */
const largeObjectsOfAnother: Look = ({ difference, target }, { source, target: there }) => {
  if (target?.kind !== "large objects" || difference.change === "missing") return undefined;
  if (target.parent !== there.user) return undefined;
  const others = [...source.objects.values()].some(({ kind, parent }) =>
    kind === "large objects" && parent !== undefined && !there.actsAs.has(parent)
  );
  return others ? `${role(there.user)} could not give them to their owners` : undefined;
};

const ofTheProvider: Look = ({ difference, source, target }, context) => {
  const grantee = granteeOf(difference, { source, target } as never);
  if (typeof grantee !== "string" || difference.source !== undefined) return undefined;
  const provider = providerRole(grantee);
  return provider === undefined || context.source.roles.has(grantee)
    ? undefined
    : `${role(grantee)} belongs to ${provider.provider}`;
};

const ofExtensions: Look = ({ difference, source, target }) => {
  if ((source ?? target)?.kind !== "extension") return undefined;
  if (difference.property === "version") {
    return "the target has the version that it offers; ALTER EXTENSION … UPDATE brings the newest";
  }
  return difference.change === "extra"
    ? "the target's provider may want it; it harms nothing"
    : undefined;
};

const ofTheVersion: Look = ({ difference, source, target }, context) => {
  const [from, to] = [context.source.majorVersion, context.target.majorVersion];
  const kind = (source ?? target)?.kind ?? "";
  const { property = "" } = difference;
  const brought = source === undefined ? undefined : broughtBy(source, property);
  if (brought !== undefined && to < brought) return `PostgreSQL has it from ${brought} on`;
  if (kind === "schema" && source?.name === "public" && from >= 15 && to < 15) {
    if (property === "privileges of PUBLIC") {
      return "before 15 everybody may create in public; REVOKE CREATE ON SCHEMA public FROM PUBLIC takes it away";
    }
    if (source.owner === "pg_database_owner") {
      return "pg_database_owner came with 14, as owner of public with 15";
    }
  }
  return undefined;
};

const notNullByColumn: Look = ({ difference, source, target }) =>
  (source ?? target)?.facts.kind === "not null" && difference.change !== "changed"
    ? "another name at most: that a column is NOT NULL is compared with the column"
    : undefined;

/** What pg_dump does not bring over, whoever restores it. */
const leftByDump: Look = ({ difference, source }) => {
  if (source?.kind === "index" && difference.change === "missing" && source.facts.valid === false) {
    return "it is invalid on the source: the rest of a CREATE INDEX CONCURRENTLY that failed; nothing is lost";
  }
  if (
    difference.property === "order of columns" && typeof source?.facts["inherits from"] === "string"
  ) {
    return "columns that a table has inherited come first in every dump";
  }
  return undefined;
};

const ofTheRules: Look = ({ difference, source }, { consequences }) => {
  if (difference.property !== "validated" || source?.facts.validated !== true) return undefined;
  const doubtful = consequences?.doubtfulKeys.some(({ table, name }) =>
    name === source.name &&
    tableKey(table) === tableKey({ schema: source.schema ?? "", name: source.parent ?? "" })
  );
  return doubtful === true ? "rules leave out rows that it may refer to" : undefined;
};

const ofTheServer: Look = ({ difference }) =>
  difference.property === "tablespace"
    ? "tablespaces belong to a server; where rows lie changes nothing about them"
    : undefined;

const reasons: readonly Look[] = [
  noSuchRole,
  couldNotGive,
  largeObjectsOfAnother,
  ofTheProvider,
  ofExtensions,
  ofTheVersion,
  notNullByColumn,
  leftByDump,
  ofTheRules,
  ofTheServer,
];
