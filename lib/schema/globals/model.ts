/**
 * Objects that belong to a whole server, as plain data.
 *
 * @module
 */
import type { Secret } from "../../core/internal.ts";

/** The attributes of a role. */
export interface DumpedRoleAttributes {
  /** SUPERUSER */
  readonly superuser: boolean;
  /** INHERIT */
  readonly inherit: boolean;
  /** CREATEROLE */
  readonly createRole: boolean;
  /** CREATEDB */
  readonly createDatabase: boolean;
  /** LOGIN */
  readonly login: boolean;
  /** REPLICATION */
  readonly replication: boolean;
  /** BYPASSRLS */
  readonly bypassRls: boolean;
  /** -1: no limit. */
  readonly connectionLimit: number;
  /** As PostgreSQL writes it in UTC: `2030-01-01 00:00:00+00`, `infinity`. */
  readonly validUntil: string | undefined;
}

/** A setting of a role or database. A list (`search_path`) has several values. */
export interface Setting {
  /** Its name, unquoted. */
  readonly name: string;
  /** The value, or the members of a list, unquoted. */
  readonly values: readonly string[];
}

/** A label of a security provider. */
export interface SecurityLabel {
  /** The provider's name. */
  readonly provider: string;
  /** The label's text. */
  readonly label: string;
}

/** A role with its attributes and settings. */
export interface RoleObject {
  /** Discriminates the kinds. */
  readonly kind: "role";
  /** Its name, unquoted. */
  readonly name: string;
  /** What it may do. */
  readonly attributes: DumpedRoleAttributes;
  /** The stored verifier (SCRAM or md5), if the source allows reading it. */
  readonly password: Secret | undefined;
  /** `ALTER ROLE … SET` */
  readonly settings: readonly Setting[];
  /** The text of its comment. */
  readonly comment: string | undefined;
  /** Labels of security providers. */
  readonly securityLabels: readonly SecurityLabel[];
}

/** `GRANT role TO member`. */
export interface MembershipObject {
  /** Discriminates the kinds. */
  readonly kind: "membership";
  /** The role that is granted. */
  readonly role: string;
  /** The role that it is granted to. */
  readonly member: string;
  /** WITH ADMIN OPTION. */
  readonly admin: boolean;
  /** From 16 on: whether the member has the role's privileges without SET ROLE. */
  readonly inherit: boolean | undefined;
  /** From 16 on: whether the member may SET ROLE. */
  readonly set: boolean | undefined;
  /** Undefined for the bootstrap superuser, on whose behalf superusers grant. */
  readonly grantor: string | undefined;
}

/** A tablespace. */
export interface TablespaceObject {
  /** Discriminates the kinds. */
  readonly kind: "tablespace";
  /** Its name, unquoted. */
  readonly name: string;
  /** The role that owns it. */
  readonly owner: string;
  /**
   * A directory of the server; empty for one inside the data directory
   * (`allow_in_place_tablespaces`).
   */
  readonly location: string;
  /** `random_page_cost=1.1` */
  readonly options: readonly string[];
  /** Roles with CREATE on it, except the owner. */
  readonly grants: readonly { readonly grantee: string | undefined; readonly grantable: boolean }[];
  /** The text of its comment. */
  readonly comment: string | undefined;
}

/** `GRANT SET ON PARAMETER …` (15+). */
export interface ParameterGrantObject {
  /** Discriminates the kinds. */
  readonly kind: "parameter-grant";
  /** The setting's name. */
  readonly parameter: string;
  /** Which of the two privileges. */
  readonly privilege: "SET" | "ALTER SYSTEM";
  /** Undefined: PUBLIC. */
  readonly grantee: string | undefined;
  /** WITH GRANT OPTION. */
  readonly grantable: boolean;
}

/** `ALTER ROLE ALL SET …`, which pg_dumpall leaves out. */
export interface CommonSettingObject {
  /** Discriminates the kinds. */
  readonly kind: "common-setting";
  /** Name and value. */
  readonly setting: Setting;
}

/** Anything that belongs to the whole server. */
export type GlobalObject =
  | RoleObject
  | MembershipObject
  | TablespaceObject
  | ParameterGrantObject
  | CommonSettingObject;

/**
 * Settings whose value is a list of quoted names (GUC_LIST_QUOTE, which no catalog shows).
 */
const quotedLists: ReadonlySet<string> = new Set([
  "local_preload_libraries",
  "search_path",
  "session_preload_libraries",
  "shared_preload_libraries",
  "temp_tablespaces",
  "unix_socket_directories",
]);

/** Reads an entry of `pg_db_role_setting.setconfig`: `search_path="$user", public`. */
export function parseSetting(entry: string): Setting {
  const equals = entry.indexOf("=");
  const name = entry.slice(0, equals);
  const value = entry.slice(equals + 1);
  if (!quotedLists.has(name.toLowerCase())) return { name, values: [value] };
  const names = [...value.matchAll(/\s*(?:"((?:[^"]|"")*)"|([^,\s][^,]*?))\s*(?:,|$)/g)]
    .map(([, quoted, plain]) => quoted?.replaceAll('""', '"') ?? plain ?? "");
  return { name, values: names.length === 0 ? [""] : names };
}

/**
 * A tablespace's location as CREATE TABLESPACE takes it. For in-place tablespaces the catalogs show
 * a relative path, and CREATE TABLESPACE takes an empty one.
 */
export function creatableLocation(location: string): string {
  return /^(?:\/|\\|[A-Za-z]:)/.test(location) ? location : "";
}

/** Sorts the objects, so that both ways of reading them give the same result. */
export function sortGlobals(objects: readonly GlobalObject[]): readonly GlobalObject[] {
  return objects
    .map((object) => ({ object, key: JSON.stringify(sortKey(object)) }))
    .sort((a, b) => a.key < b.key ? -1 : a.key > b.key ? 1 : 0)
    .map(({ object }) => object);
}

function sortKey(object: GlobalObject): readonly (string | number | undefined)[] {
  switch (object.kind) {
    case "role":
      return [0, object.name];
    case "membership":
      return [1, object.role, object.member, object.grantor];
    case "common-setting":
      return [2, object.setting.name];
    case "tablespace":
      return [3, object.name];
    case "parameter-grant":
      return [4, object.parameter, object.grantee, object.privilege];
  }
}
