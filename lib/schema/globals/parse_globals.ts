/**
 * Parses the output of `pg_dumpall --globals-only`.
 *
 * @module
 */
import { ReplicatorError, Secret } from "../../core/internal.ts";
import { excerpt } from "../apply/adaptation.ts";
import { readDump } from "../parse/dump_reader.ts";
import {
  creatableLocation,
  type DumpedRoleAttributes,
  type GlobalObject,
  type MembershipObject,
  type ParameterGrantObject,
  type RoleObject,
  type SecurityLabel,
  type Setting,
  sortGlobals,
  type TablespaceObject,
} from "./model.ts";
import { SqlCursor } from "../parse/sql_cursor.ts";

type Open<Value> = { -readonly [Key in keyof Value]: Value[Key] };
interface OpenRole extends Omit<Open<RoleObject>, "attributes" | "settings" | "securityLabels"> {
  attributes: Open<DumpedRoleAttributes>;
  settings: Setting[];
  securityLabels: SecurityLabel[];
}
interface OpenTablespace extends Omit<Open<TablespaceObject>, "options" | "grants"> {
  options: string[];
  grants: { grantee: string | undefined; grantable: boolean }[];
}

/** The default attributes of a role. */
const newRole: DumpedRoleAttributes = {
  superuser: false,
  inherit: true,
  createRole: false,
  createDatabase: false,
  login: false,
  replication: false,
  bypassRls: false,
  connectionLimit: -1,
  validUntil: undefined,
};

const attributeWords: Readonly<Record<string, readonly [keyof DumpedRoleAttributes, boolean]>> = {
  superuser: ["superuser", true],
  nosuperuser: ["superuser", false],
  inherit: ["inherit", true],
  noinherit: ["inherit", false],
  createrole: ["createRole", true],
  nocreaterole: ["createRole", false],
  createdb: ["createDatabase", true],
  nocreatedb: ["createDatabase", false],
  login: ["login", true],
  nologin: ["login", false],
  replication: ["replication", true],
  noreplication: ["replication", false],
  bypassrls: ["bypassRls", true],
  nobypassrls: ["bypassRls", false],
};

/**
 * Parses the text of `pg_dumpall --globals-only`.
 *
 * @param bootstrapRole name of the source's bootstrap superuser, which is omitted as grantor
 * @throws ReplicatorError at an unknown statement: nothing is left out silently
 */
export function parseGlobals(text: string, bootstrapRole: string): readonly GlobalObject[] {
  const reader = new GlobalsReader(bootstrapRole);
  for (const { sql } of readDump(text)) {
    if (!reader.read(new SqlCursor(sql))) {
      throw new ReplicatorError("cannot parse a statement of pg_dumpall", {
        side: "source",
        details: [excerpt(sql)],
        remedy: "report this as a bug; until it is fixed, use --dump-tool embedded",
      });
    }
  }
  return sortGlobals(reader.objects());
}

class GlobalsReader {
  readonly #bootstrapRole: string;
  readonly #roles = new Map<string, OpenRole>();
  readonly #tablespaces = new Map<string, OpenTablespace>();
  readonly #memberships: MembershipObject[] = [];
  readonly #parameterGrants: ParameterGrantObject[] = [];

  constructor(bootstrapRole: string) {
    this.#bootstrapRole = bootstrapRole;
  }

  objects(): readonly GlobalObject[] {
    return [
      ...this.#roles.values(),
      ...this.#memberships,
      ...this.#tablespaces.values(),
      ...this.#parameterGrants,
    ];
  }

  /** Consumes a statement; false when its form is unknown. */
  read(sql: SqlCursor): boolean {
    if (sql.words("set") || sql.words("reset")) return true; // settings of the session
    if (sql.words("create", "role")) return this.#createRole(sql);
    if (sql.words("alter", "role")) return this.#alterRole(sql);
    if (sql.words("comment", "on")) return this.#comment(sql);
    if (sql.words("security", "label")) return this.#securityLabel(sql);
    if (sql.words("create", "tablespace")) return this.#createTablespace(sql);
    if (sql.words("alter", "tablespace")) return this.#alterTablespace(sql);
    // revokes the owner's privileges, which are then granted again
    if (sql.words("revoke")) return true;
    return sql.words("grant") && this.#grant(sql);
  }

  #createRole(sql: SqlCursor): boolean {
    const name = sql.identifier();
    if (name === undefined) return false;
    this.#roles.set(name, {
      kind: "role",
      name,
      attributes: { ...newRole },
      password: undefined,
      settings: [],
      comment: undefined,
      securityLabels: [],
    });
    return sql.atEnd;
  }

  #alterRole(sql: SqlCursor): boolean {
    const role = this.#roles.get(sql.identifier() ?? "");
    if (role === undefined) return false;
    if (sql.words("set")) {
      const name = sql.identifier();
      if (name === undefined || !sql.words("to")) return false;
      const values: string[] = [];
      do values.push(sql.literal() ?? ""); while (sql.symbol(","));
      role.settings.push({ name, values });
      return sql.atEnd;
    }
    if (!sql.words("with")) return false;
    const { attributes } = role;
    for (;;) {
      const word = sql.word();
      if (word === undefined) return sql.atEnd;
      const known = attributeWords[word];
      if (known !== undefined) Object.assign(attributes, { [known[0]]: known[1] });
      else if (word === "connection" && sql.words("limit")) {
        attributes.connectionLimit = sql.number() ?? -1;
      } else if (word === "password") role.password = new Secret(sql.literal() ?? "");
      else if (word === "valid" && sql.words("until")) attributes.validUntil = sql.literal();
      else return false;
    }
  }

  #comment(sql: SqlCursor): boolean {
    const object = this.#commented(sql);
    if (object === undefined || !sql.words("is")) return false;
    object.comment = sql.literal();
    return sql.atEnd;
  }

  #commented(sql: SqlCursor): OpenRole | OpenTablespace | undefined {
    if (sql.words("role")) return this.#roles.get(sql.identifier() ?? "");
    return sql.words("tablespace") ? this.#tablespaces.get(sql.identifier() ?? "") : undefined;
  }

  #securityLabel(sql: SqlCursor): boolean {
    const provider = sql.words("for") ? sql.identifier() : undefined;
    if (provider === undefined || !sql.words("on")) return false;
    if (sql.words("tablespace")) return true; // no provider supports them
    const role = sql.words("role") ? this.#roles.get(sql.identifier() ?? "") : undefined;
    const label = sql.words("is") ? sql.literal() : undefined;
    if (role === undefined || label === undefined) return false;
    role.securityLabels.push({ provider, label });
    return sql.atEnd;
  }

  #createTablespace(sql: SqlCursor): boolean {
    const name = sql.identifier();
    const owner = sql.words("owner") ? sql.identifier() : undefined;
    const location = sql.words("location") ? sql.literal() : undefined;
    if (name === undefined || owner === undefined || location === undefined) return false;
    this.#tablespaces.set(name, {
      kind: "tablespace",
      name,
      owner,
      location: creatableLocation(location),
      options: [],
      grants: [],
      comment: undefined,
    });
    return sql.atEnd;
  }

  #alterTablespace(sql: SqlCursor): boolean {
    const tablespace = this.#tablespaces.get(sql.identifier() ?? "");
    if (tablespace === undefined || !sql.words("set") || !sql.symbol("(")) return false;
    do {
      const name = sql.identifier();
      if (name === undefined || !sql.symbol("=")) return false;
      tablespace.options.push(`${name}=${sql.literal() ?? sql.number() ?? sql.word() ?? ""}`);
    } while (sql.symbol(","));
    return sql.symbol(")") && sql.atEnd;
  }

  #grant(sql: SqlCursor): boolean {
    if (sql.words("create", "on", "tablespace") || sql.words("all", "on", "tablespace")) {
      const tablespace = this.#tablespaces.get(sql.identifier() ?? "");
      if (tablespace === undefined || !sql.words("to")) return false;
      const grantee = roleOrPublic(sql);
      const grantable = sql.words("with", "grant", "option");
      if (grantee !== tablespace.owner) tablespace.grants.push({ grantee, grantable });
      return sql.atEnd;
    }
    return this.#parameterGrant(sql) || this.#membership(sql);
  }

  #parameterGrant(sql: SqlCursor): boolean {
    const privileges: ParameterGrantObject["privilege"][] = [];
    if (sql.words("all", "on", "parameter")) privileges.push("SET", "ALTER SYSTEM");
    else if (sql.words("set", "on", "parameter")) privileges.push("SET");
    else if (sql.words("alter", "system", "on", "parameter")) privileges.push("ALTER SYSTEM");
    else return false;
    const parameter = sql.identifier();
    if (parameter === undefined || !sql.words("to")) return false;
    const grantee = roleOrPublic(sql);
    const grantable = sql.words("with", "grant", "option");
    for (const privilege of privileges) {
      this.#parameterGrants.push({
        kind: "parameter-grant",
        parameter,
        privilege,
        grantee,
        grantable,
      });
    }
    return sql.atEnd;
  }

  #membership(sql: SqlCursor): boolean {
    const role = sql.identifier();
    const member = sql.words("to") ? sql.identifier() : undefined;
    if (role === undefined || member === undefined) return false;
    const options: Record<string, boolean> = {};
    if (sql.words("with")) {
      do {
        const option = sql.word();
        const value = sql.word();
        if (option === undefined || value === undefined) return false;
        options[option] = value !== "false"; // OPTION or TRUE
      } while (sql.symbol(","));
    }
    const grantor = sql.words("granted", "by") ? sql.identifier() : undefined;
    // from 16 on INHERIT is always written, SET only when false
    const inherit = options["inherit"];
    this.#memberships.push({
      kind: "membership",
      role,
      member,
      admin: options["admin"] ?? false,
      inherit,
      set: inherit === undefined ? undefined : options["set"] ?? true,
      grantor: grantor === this.#bootstrapRole ? undefined : grantor,
    });
    return sql.atEnd;
  }
}

/** Undefined for PUBLIC, which cannot be a role's name. */
function roleOrPublic(sql: SqlCursor): string | undefined {
  return sql.words("public") ? undefined : sql.identifier();
}
