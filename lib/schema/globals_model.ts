/**
 * Objects that belong to a whole server, as plain data.
 *
 * @module
 */
import type { Secret } from "../core/mod.ts";

/** The attributes of a role. */
export interface RoleAttributes {
  readonly superuser: boolean;
  readonly inherit: boolean;
  readonly createRole: boolean;
  readonly createDatabase: boolean;
  readonly login: boolean;
  readonly replication: boolean;
  readonly bypassRls: boolean;
  /** -1: no limit. */
  readonly connectionLimit: number;
  /** As PostgreSQL writes it in UTC: `2030-01-01 00:00:00+00`, `infinity`. */
  readonly validUntil: string | undefined;
}

/** A setting of a role or database. A list (`search_path`) has several values. */
export interface Setting {
  readonly name: string;
  readonly values: readonly string[];
}

/** A label of a security provider. */
export interface SecurityLabel {
  readonly provider: string;
  readonly label: string;
}

/** A role with all that hangs on it. */
export interface RoleObject {
  readonly kind: "role";
  readonly name: string;
  readonly attributes: RoleAttributes;
  /** The stored verifier (SCRAM or md5), where the source lets us read it. */
  readonly password: Secret | undefined;
  readonly settings: readonly Setting[];
  readonly comment: string | undefined;
  readonly securityLabels: readonly SecurityLabel[];
}

/** `GRANT role TO member`. */
export interface MembershipObject {
  readonly kind: "membership";
  readonly role: string;
  readonly member: string;
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
  readonly kind: "tablespace";
  readonly name: string;
  readonly owner: string;
  /** A folder of the server; empty for one inside of the data directory (`allow_in_place_tablespaces`). */
  readonly location: string;
  /** `random_page_cost=1.1` */
  readonly options: readonly string[];
  /** Who may create in it besides the owner. */
  readonly grants: readonly { readonly grantee: string | undefined; readonly grantable: boolean }[];
  readonly comment: string | undefined;
}

/** `GRANT SET ON PARAMETER …` (15+). */
export interface ParameterGrantObject {
  readonly kind: "parameter-grant";
  readonly parameter: string;
  readonly privilege: "SET" | "ALTER SYSTEM";
  /** Undefined: PUBLIC. */
  readonly grantee: string | undefined;
  readonly grantable: boolean;
}

/** `ALTER ROLE ALL SET …`, which pg_dumpall leaves out. */
export interface CommonSettingObject {
  readonly kind: "common-setting";
  readonly setting: Setting;
}

/** Anything that belongs to the whole server. */
export type GlobalObject =
  | RoleObject
  | MembershipObject
  | TablespaceObject
  | ParameterGrantObject
  | CommonSettingObject;

/** Settings whose value is a list of quoted names; PostgreSQL's flag GUC_LIST_QUOTE, which no catalog shows. */
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

/** A tablespace's location as CREATE TABLESPACE wants it: inside of the data directory the catalogs show a relative path. */
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
