/**
 * Properties of a database itself: how it is created, and its owner, privileges and settings.
 *
 * @module
 */
import type { Database } from "../../catalog/internal.ts";
import { ExitCode, quoteIdentifier, quoteLiteral, ReplicatorError } from "../../core/internal.ts";
import { type ServerError, type Session, SqlState } from "../../postgres/internal.ts";
import { type Adaptation, isRefusal } from "../apply/adaptation.ts";
import type { DumpStatement } from "../parse/dump_reader.ts";
import { parseSetting, type SecurityLabel, type Setting } from "../globals/model.ts";

/** A privilege granted on the database. */
export interface DatabaseGrant {
  /** `CONNECT`, `TEMPORARY`, `CREATE`. */
  readonly privilege: string;
  /** Undefined: PUBLIC. */
  readonly grantee: string | undefined;
  /** The role that granted it. */
  readonly grantor: string;
  /** WITH GRANT OPTION. */
  readonly grantable: boolean;
}

/** Everything about a database except its objects. */
export interface DatabaseProperties extends
  Pick<
    Database,
    "name" | "owner" | "encoding" | "collate" | "ctype" | "localeProvider" | "locale" | "icuRules"
  > {
  /** Version of the collation when the database was created (15+). */
  readonly collationVersion: string | undefined;
  /** The default tablespace. */
  readonly tablespace: string;
  /** -1: no limit. */
  readonly connectionLimit: number;
  /** ALLOW_CONNECTIONS */
  readonly allowConnections: boolean;
  /** IS_TEMPLATE */
  readonly isTemplate: boolean;
  /** Undefined: the default privileges. */
  readonly grants: readonly DatabaseGrant[] | undefined;
  /** The text of COMMENT ON DATABASE. */
  readonly comment: string | undefined;
  /** Labels of security providers. */
  readonly securityLabels: readonly SecurityLabel[];
  /** `ALTER DATABASE … SET`, and with a role `ALTER ROLE … IN DATABASE … SET`. */
  readonly settings: readonly { readonly role: string | undefined; readonly setting: Setting }[];
}

interface DatabaseRow extends Record<string, unknown> {
  readonly name: string;
  readonly owner: string;
  readonly encoding: string;
  readonly collate: string;
  readonly ctype: string;
  readonly provider: "c" | "i" | "b";
  readonly locale: string | null;
  readonly icu_rules: string | null;
  readonly collation_version: string | null;
  readonly tablespace: string;
  readonly connection_limit: number;
  readonly allow_connections: boolean;
  readonly is_template: boolean;
  readonly grants: readonly (Omit<DatabaseGrant, "grantee"> & { grantee: string | null })[] | null;
  readonly comment: string | null;
  readonly labels: readonly SecurityLabel[] | null;
  readonly settings: readonly { role: string | null; entries: readonly string[] }[] | null;
}

const providers = { c: "libc", i: "icu", b: "builtin" } as const;

/** Reads the properties of the session's database. */
export async function readDatabaseProperties(session: Session): Promise<DatabaseProperties> {
  const row = await session.queryOne<DatabaseRow>(`
    SELECT d.datname AS name, pg_catalog.pg_get_userbyid(d.datdba) AS owner,
           pg_catalog.pg_encoding_to_char(d.encoding) AS encoding,
           d.datcollate AS collate, d.datctype AS ctype, ${localeColumns(session.majorVersion)},
           t.spcname AS tablespace, d.datconnlimit AS connection_limit,
           d.datallowconn AS allow_connections, d.datistemplate AS is_template,
           (SELECT pg_catalog.json_agg(pg_catalog.json_build_object('privilege', a.privilege_type, 'grantee', e.rolname,
                     'grantor', pg_catalog.pg_get_userbyid(a.grantor), 'grantable', a.is_grantable)
                     ORDER BY a.grantor <> d.datdba, e.rolname, a.privilege_type)
              FROM pg_catalog.aclexplode(d.datacl) AS a
              LEFT JOIN pg_catalog.pg_roles AS e ON e.oid = a.grantee) AS grants,
           d.datacl IS NOT NULL AS has_acl,
           pg_catalog.shobj_description(d.oid, 'pg_database') AS comment,
           (SELECT pg_catalog.json_agg(pg_catalog.json_build_object('provider', l.provider, 'label', l.label) ORDER BY l.provider)
              FROM pg_catalog.pg_shseclabel AS l
             WHERE l.objoid = d.oid AND l.classoid = 'pg_catalog.pg_database'::pg_catalog.regclass) AS labels,
           (SELECT pg_catalog.json_agg(pg_catalog.json_build_object('role', r.rolname, 'entries', s.setconfig) ORDER BY r.rolname NULLS FIRST)
              FROM pg_catalog.pg_db_role_setting AS s
              LEFT JOIN pg_catalog.pg_roles AS r ON r.oid = s.setrole
             WHERE s.setdatabase = d.oid) AS settings
      FROM pg_catalog.pg_database AS d
      JOIN pg_catalog.pg_tablespace AS t ON t.oid = d.dattablespace
     WHERE d.datname = pg_catalog.current_database()`);
  return {
    name: row.name,
    owner: row.owner,
    encoding: row.encoding,
    collate: row.collate,
    ctype: row.ctype,
    localeProvider: providers[row.provider],
    locale: row.locale ?? undefined,
    icuRules: row.icu_rules ?? undefined,
    collationVersion: row.collation_version ?? undefined,
    tablespace: row.tablespace,
    connectionLimit: row.connection_limit,
    allowConnections: row.allow_connections,
    isTemplate: row.is_template,
    grants: row["has_acl"] === true
      ? (row.grants ?? []).map((grant) => ({ ...grant, grantee: grant.grantee ?? undefined }))
      : undefined,
    comment: row.comment ?? undefined,
    securityLabels: row.labels ?? [],
    settings: (row.settings ?? []).flatMap(({ role, entries }) =>
      entries.map((entry) => ({ role: role ?? undefined, setting: parseSetting(entry) }))
    ),
  };
}

function localeColumns(majorVersion: number): string {
  if (majorVersion >= 17) {
    return `d.datlocprovider::pg_catalog.text AS provider, d.datlocale AS locale, d.daticurules AS icu_rules,
           d.datcollversion AS collation_version`;
  }
  if (majorVersion >= 15) {
    return `d.datlocprovider::pg_catalog.text AS provider, d.daticulocale AS locale,
           ${majorVersion >= 16 ? "d.daticurules" : "NULL::pg_catalog.text"} AS icu_rules,
           d.datcollversion AS collation_version`;
  }
  return `'c' AS provider, NULL::pg_catalog.text AS locale, NULL::pg_catalog.text AS icu_rules,
           NULL::pg_catalog.text AS collation_version`;
}

/** What {@linkcode createDatabaseStatements} takes besides the properties. */
export interface CreateDatabaseOptions {
  /** The name on the target. */
  readonly name: string;
  /** Major version of the target. */
  readonly targetMajor: number;
  /** Tablespaces that the target has. */
  readonly tablespaces: ReadonlySet<string>;
}

/** Statements that create a database, and what is lost by them. */
export interface CreateDatabasePlan {
  /** Tried in turn: platforms spell the same locale differently. */
  readonly statements: readonly string[];
  /** What the target does not support, for the report. */
  readonly notes: readonly Adaptation[];
}

/** Plans CREATE DATABASE with the source's encoding and locale. Pure. */
export function createDatabaseStatements(
  properties: DatabaseProperties,
  { name, targetMajor, tablespaces }: CreateDatabaseOptions,
): CreateDatabasePlan {
  const object = `database ${name}`;
  const notes: Adaptation[] = [];
  const note = (message: string) => void notes.push({ side: "target", object, message });
  const { localeProvider, locale, icuRules } = properties;
  const since = { libc: 0, icu: 15, builtin: 17 }[localeProvider];
  const provided = targetMajor >= since;
  if (!provided) {
    note(
      `the locale provider ${localeProvider} (${locale}) requires PostgreSQL ${since}; ` +
        `text is sorted by libc's ${properties.collate} instead`,
    );
  }
  const provider = targetMajor < 15 ? [] : provided && locale !== undefined
    ? [
      `LOCALE_PROVIDER = ${localeProvider}`,
      `${localeProvider === "icu" ? "ICU_LOCALE" : "BUILTIN_LOCALE"} = ${literal(locale)}`,
    ]
    : ["LOCALE_PROVIDER = libc"];
  if (icuRules !== undefined && targetMajor < 16) {
    note("ICU rules not set: they require PostgreSQL 16");
  }
  const ownTablespace = properties.tablespace !== "pg_default";
  if (ownTablespace && !tablespaces.has(properties.tablespace)) {
    note(`tablespace ${properties.tablespace} does not exist; the default tablespace is used`);
  }
  const statements = localeSpellings(properties).map(({ collate, ctype }) =>
    [
      `CREATE DATABASE ${quoteIdentifier(name)} WITH TEMPLATE = template0`,
      `ENCODING = ${literal(properties.encoding)}`,
      ...provider,
      `LC_COLLATE = ${literal(collate)}`,
      `LC_CTYPE = ${literal(ctype)}`,
      ...icuRules !== undefined && targetMajor >= 16 ? [`ICU_RULES = ${literal(icuRules)}`] : [],
      ...ownTablespace && tablespaces.has(properties.tablespace)
        ? [`TABLESPACE = ${quoteIdentifier(properties.tablespace)}`]
        : [],
    ].join(" ")
  );
  return { statements, notes };
}

/** `en_US.UTF-8` is called `en_US.utf8` on some platforms. */
function localeSpellings(
  { collate, ctype }: Pick<DatabaseProperties, "collate" | "ctype">,
): readonly { readonly collate: string; readonly ctype: string }[] {
  const respell = (codeset: string) => (name: string) => name.replace(/\.utf-?8$/i, codeset);
  const spellings = [(name: string) => name, respell(".UTF-8"), respell(".utf8")]
    .map((spell) => ({ collate: spell(collate), ctype: spell(ctype) }));
  return spellings.filter(({ collate, ctype }, index) =>
    spellings.findIndex((other) => other.collate === collate && other.ctype === ctype) === index
  );
}

const wrongObjectType = "42809";

/**
 * Creates the database on the target with the first statement that it accepts.
 *
 * @throws ReplicatorError (prerequisite) when the target lacks the locale or encoding
 */
export async function createDatabase(
  session: Session,
  properties: DatabaseProperties,
  options: Omit<CreateDatabaseOptions, "targetMajor" | "tablespaces">,
): Promise<readonly Adaptation[]> {
  const rows = await session.query<{ name: string }>(
    "SELECT spcname AS name FROM pg_catalog.pg_tablespace",
  );
  const { statements, notes } = createDatabaseStatements(properties, {
    ...options,
    targetMajor: session.majorVersion,
    tablespaces: new Set(rows.map(({ name }) => name)),
  });
  let first: ServerError | undefined;
  for (const statement of statements) {
    try {
      await session.execute(statement);
      return notes;
    } catch (error) {
      if (!isRefusal(error) || !isAboutLocale(error)) throw error;
      first ??= error;
    }
  }
  throw new ReplicatorError(`cannot create the database: ${first?.message}`, {
    side: "target",
    object: `database ${options.name}`,
    details: [
      `Source: encoding ${properties.encoding}, collation ${properties.collate}, ` +
      `character type ${properties.ctype}, provider ${properties.localeProvider}` +
      (properties.locale === undefined ? "" : ` (${properties.locale})`),
    ],
    remedy:
      "install the locale on the target server (locale-gen), or create an empty database there with the closest locale " +
      "(SELECT collname FROM pg_catalog.pg_collation lists them), and run the command again",
    exitCode: ExitCode.prerequisite,
    cause: first,
  });
}

function isAboutLocale({ sqlState }: ServerError): boolean {
  return sqlState === wrongObjectType || sqlState === SqlState.invalidParameterValue ||
    sqlState === SqlState.featureNotSupported;
}

/**
 * Settings that can prevent sessions from starting: applied last, when no more session is needed.
 */
const lateSettings: ReadonlySet<string> = new Set([
  "session_preload_libraries",
  "local_preload_libraries",
]);

/**
 * Plans the database's settings. They come before the schema, because checks, generated columns,
 * index expressions and materialized views are computed under them. Pure; for `applyStatements`.
 */
export function databaseSettingStatements(
  properties: Pick<DatabaseProperties, "settings">,
  { name, late }: { readonly name: string; readonly late: boolean },
): readonly DumpStatement[] {
  const database = quoteIdentifier(name);
  return properties.settings
    .filter(({ setting }) => lateSettings.has(setting.name.toLowerCase()) === late)
    .map(({ role, setting: { name: parameter, values } }) => {
      const set = `SET ${quoteIdentifier(parameter)} TO ${values.map(literal).join(", ")};`;
      return {
        sql: role === undefined
          ? `ALTER DATABASE ${database} ${set}`
          : `ALTER ROLE ${quoteIdentifier(role)} IN DATABASE ${database} ${set}`,
        type: "DATABASE PROPERTIES",
        name,
      };
    });
}

/**
 * Plans the other properties: owner, privileges, comment, labels, late settings and, at the very
 * end, what could keep the tool from connecting. Pure; for `applyStatements`.
 */
export function databasePropertyStatements(
  properties: DatabaseProperties,
  { name }: { readonly name: string },
): readonly DumpStatement[] {
  const database = quoteIdentifier(name);
  const statement = (type: string, sql: string): DumpStatement => ({ sql, type, name });
  const { comment, connectionLimit, allowConnections, isTemplate } = properties;
  return [
    statement(
      "DATABASE",
      `ALTER DATABASE ${database} OWNER TO ${quoteIdentifier(properties.owner)};`,
    ),
    ...privilegeStatements(properties, database).map((sql) => statement("ACL", sql)),
    ...comment === undefined
      ? []
      : [statement("COMMENT", `COMMENT ON DATABASE ${database} IS ${literal(comment)};`)],
    ...properties.securityLabels.map(({ provider, label }) =>
      statement(
        "SECURITY LABEL",
        `SECURITY LABEL FOR ${quoteIdentifier(provider)} ON DATABASE ${database} IS ${
          literal(label)
        };`,
      )
    ),
    ...databaseSettingStatements(properties, { name, late: true }),
    ...isTemplate
      ? [statement("DATABASE PROPERTIES", `ALTER DATABASE ${database} IS_TEMPLATE true;`)]
      : [],
    ...connectionLimit === -1 ? [] : [statement(
      "DATABASE PROPERTIES",
      `ALTER DATABASE ${database} CONNECTION LIMIT ${connectionLimit};`,
    )],
    ...allowConnections
      ? []
      : [statement("DATABASE PROPERTIES", `ALTER DATABASE ${database} ALLOW_CONNECTIONS false;`)],
  ];
}

/** Revokes the defaults, then grants all privileges, those granted by the owner first. */
function privilegeStatements(
  { grants, owner }: DatabaseProperties,
  database: string,
): readonly string[] {
  if (grants === undefined) return [];
  return [
    `REVOKE ALL ON DATABASE ${database} FROM PUBLIC;`,
    `REVOKE ALL ON DATABASE ${database} FROM ${quoteIdentifier(owner)};`,
    ...sortGrants(grants, owner).flatMap(({ privilege, grantee, grantor, grantable }) => {
      const to = grantee === undefined ? "PUBLIC" : quoteIdentifier(grantee);
      const grant = `GRANT ${privilege} ON DATABASE ${database} TO ${to}` +
        `${grantable ? " WITH GRANT OPTION" : ""};`;
      return grantor === owner ? [grant] : [
        `SET SESSION AUTHORIZATION ${quoteIdentifier(grantor)};`,
        grant,
        "RESET SESSION AUTHORIZATION;",
      ];
    }),
  ];
}

/** A role must hold a privilege with GRANT OPTION before it can grant it. */
function sortGrants(
  grants: readonly DatabaseGrant[],
  owner: string,
): readonly DatabaseGrant[] {
  const sorted: DatabaseGrant[] = [];
  let waiting = grants;
  for (;;) {
    const ready = waiting.filter(({ grantor, privilege }) =>
      grantor === owner ||
      sorted.some((earlier) => earlier.grantee === grantor && earlier.privilege === privilege)
    );
    if (ready.length === 0) return [...sorted, ...waiting];
    sorted.push(...ready);
    waiting = waiting.filter((grant) => !ready.includes(grant));
  }
}

function literal(text: string): string {
  return quoteLiteral(text).trim();
}
