/**
 * Objects that belong to a whole server, as plain data.
 *
 * @module
 */
import type { Secret } from "../core/internal.ts";

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

/** A role with all that hangs on it. */
export interface RoleObject {
  /** Tells the kinds apart. */
  readonly kind: "role";
  /** Its name, unquoted. */
  readonly name: string;
  /** What it may do. */
  readonly attributes: DumpedRoleAttributes;
  /** The stored verifier (SCRAM or md5), where the source lets us read it. */
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
  /** Tells the kinds apart. */
  readonly kind: "membership";
  /** The role that is granted. */
  readonly role: string;
  /** Who is granted it. */
  readonly member: string;
  /** Whether the member may grant it on. */
  readonly admin: boolean;
  /** From 16 on: whether the member has the role's privileges without SET ROLE. */
  readonly inherit: boolean | undefined;
  /** From 16 on: whether the member may SET ROLE. */
  readonly set: boolean | undefined;
  /** Undefined for the bootstrap superuser, in whose name superusers grant. */
  readonly grantor: string | undefined;
}

/** A tablespace. */
export interface TablespaceObject {
  /** Tells the kinds apart. */
  readonly kind: "tablespace";
  /** Its name, unquoted. */
  readonly name: string;
  /** The role that owns it. */
  readonly owner: string;
  /**
   * A folder of the server; empty for one inside of the data directory
   * (`allow_in_place_tablespaces`).
   */
  readonly location: string;
  /** `random_page_cost=1.1` */
  readonly options: readonly string[];
  /** Who may create in it besides the owner. */
  readonly grants: readonly { readonly grantee: string | undefined; readonly grantable: boolean }[];
  /** The text of its comment. */
  readonly comment: string | undefined;
}

/** `GRANT SET ON PARAMETER …` (15+). */
export interface ParameterGrantObject {
  /** Tells the kinds apart. */
  readonly kind: "parameter-grant";
  /** The setting's name. */
  readonly parameter: string;
  /** Which of the two privileges. */
  readonly privilege: "SET" | "ALTER SYSTEM";
  /** Undefined: PUBLIC. */
  readonly grantee: string | undefined;
  /** Whether the grantee may pass it on. */
  readonly grantable: boolean;
}

/** `ALTER ROLE ALL SET …`, which pg_dumpall leaves out. */
export interface CommonSettingObject {
  /** Tells the kinds apart. */
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
 * Settings whose value is a list of quoted names; PostgreSQL's flag GUC_LIST_QUOTE, which no
 * catalog shows.
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
 * A tablespace's location as CREATE TABLESPACE wants it: inside of the data directory the catalogs
 * show a relative path.
 */
export function creatableLocation(location: string): string {
  return /^(?:\/|\\|[A-Za-z]:)/.test(location) ? location : "";
}

/** Puts objects into one order, so that two ways of reading them give the same. */
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
