/**
 * Verifies that a schema with the ledger's name was created by the tool.
 *
 * The owner of a database can create a schema with that name, containing a view or trigger: the
 * tool's session, often a superuser's, would run that code, or trust a forged record. Only catalogs
 * are read here.
 *
 * @module
 */
import {
  cutoverSchema,
  ExitCode,
  ledgerSchema,
  quoteLiteral,
  refusalSequence,
  ReplicatorError,
} from "../core/internal.ts";
import type { Session } from "../postgres/internal.ts";

/** Trusted are the session's own role, and superusers, who can do everything anyway. */
const trusted = (owner: string) =>
  `(${owner} = (SELECT r.oid FROM pg_catalog.pg_roles AS r WHERE r.rolname = current_user)
    OR EXISTS (SELECT FROM pg_catalog.pg_roles AS r WHERE r.oid = ${owner} AND r.rolsuper))`;

const schemaStatement = `
  SELECT pg_catalog.pg_get_userbyid(n.nspowner)::pg_catalog.text AS owner, ${
  trusted("n.nspowner")
} AS trusted
    FROM pg_catalog.pg_namespace AS n
   WHERE n.nspname = $1`;

type SchemaRow = { readonly owner: string; readonly trusted: boolean };

/** Unqualified: under an empty path the server qualifies any other function or type. */
const printedClock = "clock_timestamp";
const printedJson = "jsonb";

/** Defaults and checks of the tool's own tables, as the server prints them. */
const ownExpressions: readonly string[] = [
  "true",
  "false",
  `${printedClock}()`,
  "CHECK (only_row)",
  "0",
  `'{}'::${printedJson}`,
];

const ownExpressionList = ownExpressions.map((text) => quoteLiteral(text)).join(", ");

/** One row for each object in the schema that does not belong to a ledger. */
const contentsStatement = `
  WITH relation AS (
    SELECT c.* FROM pg_catalog.pg_class AS c
      JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
     WHERE n.nspname = $1 AND c.relkind NOT IN ('i', 'I')
  ), problem AS (
    SELECT c.relname AS relation, 'belongs to role ' || pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(c.relowner)) AS problem
      FROM relation AS c WHERE NOT ${trusted("c.relowner")}
    UNION ALL
    SELECT p.proname, 'belongs to role ' || pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(p.proowner))
      FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
     WHERE n.nspname = $1 AND NOT ${trusted("p.proowner")}
    UNION ALL
    SELECT c.relname, 'is not an ordinary table'
      FROM relation AS c
     WHERE c.relkind <> 'r' AND NOT (c.relkind = 'S' AND $1 = '${cutoverSchema}' AND c.relname = '${refusalSequence}')
        OR c.relpersistence <> 'p' OR c.relispartition OR c.reloftype <> 0
        OR EXISTS (SELECT FROM pg_catalog.pg_inherits AS i WHERE c.oid IN (i.inhrelid, i.inhparent))
    UNION ALL
    SELECT c.relname, 'has row-level security'
      FROM relation AS c
     WHERE c.relrowsecurity OR c.relforcerowsecurity
        OR EXISTS (SELECT FROM pg_catalog.pg_policy AS p WHERE p.polrelid = c.oid)
    UNION ALL
    SELECT c.relname, 'has the trigger ' || pg_catalog.quote_ident(t.tgname)
      FROM relation AS c JOIN pg_catalog.pg_trigger AS t ON t.tgrelid = c.oid
     WHERE NOT t.tgisinternal
    UNION ALL
    SELECT c.relname, 'has the rule ' || pg_catalog.quote_ident(r.rulename)
      FROM relation AS c JOIN pg_catalog.pg_rewrite AS r ON r.ev_class = c.oid
     WHERE c.relkind = 'r'
    UNION ALL
    SELECT c.relname, 'has column ' || pg_catalog.quote_ident(a.attname) || ' of a type that is not built in'
      FROM relation AS c
      JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
      JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
      JOIN pg_catalog.pg_namespace AS n ON n.oid = t.typnamespace
     WHERE n.nspname <> 'pg_catalog' OR t.typtype <> 'b'
    UNION ALL
    SELECT c.relname, 'has the expression ' || pg_catalog.pg_get_expr(d.adbin, d.adrelid) || ' in column ' || pg_catalog.quote_ident(a.attname)
      FROM relation AS c
      JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid
      JOIN pg_catalog.pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
     WHERE a.attgenerated <> '' OR pg_catalog.pg_get_expr(d.adbin, d.adrelid) NOT IN (${ownExpressionList})
    UNION ALL
    SELECT c.relname, 'has the constraint ' || pg_catalog.quote_ident(o.conname)
      FROM relation AS c JOIN pg_catalog.pg_constraint AS o ON o.conrelid = c.oid
     WHERE o.contype NOT IN ('p', 'f', 'n')
       AND pg_catalog.pg_get_constraintdef(o.oid) NOT IN (${ownExpressionList})
    UNION ALL
    SELECT c.relname, 'has the index ' || pg_catalog.quote_ident(x.relname)
      FROM relation AS c
      JOIN pg_catalog.pg_index AS i ON i.indrelid = c.oid
      JOIN pg_catalog.pg_class AS x ON x.oid = i.indexrelid
     WHERE NOT i.indisprimary OR i.indexprs IS NOT NULL OR i.indpred IS NOT NULL
  )
  SELECT relation::pg_catalog.text AS relation, problem FROM problem ORDER BY relation COLLATE pg_catalog."C", problem COLLATE pg_catalog."C"`;

/**
 * One row for each role that may write in the schema although it is not trusted. The sequence that
 * counts refused writes is open to everyone, who may only increment it.
 */
const grantsStatement = `
  WITH acl AS (
    SELECT NULL::pg_catalog.name AS relation, 'SCHEMA ' || pg_catalog.quote_ident(n.nspname) AS object, a.*
      FROM pg_catalog.pg_namespace AS n, pg_catalog.aclexplode(n.nspacl) AS a
     WHERE n.nspname = $1
    UNION ALL
    SELECT c.relname,
           CASE c.relkind WHEN 'S' THEN 'SEQUENCE ' ELSE 'TABLE ' END
             || pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname), a.*
      FROM pg_catalog.pg_class AS c
      JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
      CROSS JOIN LATERAL (
        SELECT e.* FROM pg_catalog.aclexplode(c.relacl) AS e
        UNION ALL
        SELECT e.* FROM pg_catalog.pg_attribute AS t, pg_catalog.aclexplode(t.attacl) AS e
         WHERE t.attrelid = c.oid AND NOT t.attisdropped) AS a
     WHERE n.nspname = $1
  ), granted AS (
    SELECT relation, object,
           CASE grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(grantee)) END AS grantee,
           pg_catalog.string_agg(DISTINCT privilege_type, ', ') AS privileges
      FROM acl
     WHERE privilege_type IN ('CREATE', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER')
       AND NOT ${trusted("grantee")}
     GROUP BY relation, object, acl.grantee
  )
  SELECT relation::pg_catalog.text AS relation, grantee, privileges,
         'REVOKE ' || privileges || ' ON ' || object || ' FROM ' || grantee || ' CASCADE' AS revoke
    FROM granted ORDER BY object COLLATE pg_catalog."C", grantee COLLATE pg_catalog."C"`;

type GrantRow = {
  /** Null for the schema itself. */
  readonly relation: string | null;
  readonly grantee: string;
  readonly privileges: string;
  readonly revoke: string;
};

/** The result of examining a schema with the ledger's name. */
export interface LedgerTrust {
  /** Whether the schema exists. */
  readonly exists: boolean;
  /**
   * Why it was not created by the tool; when empty, it may be read and written.
   */
  readonly problems: readonly string[];
  /**
   * Statements that resolve all problems, if these are only privileges of other roles: the schema
   * is the tool's, and dropping it would lose what it records.
   */
  readonly revokes: readonly string[];
}

/**
 * Why a schema of the tool is not trusted of which only privileges of other roles are wrong, and
 * the statements that make it so: to drop it would lose what it records. Pure.
 */
export function describeGrants(
  name: string,
  revokes: readonly string[],
): { readonly message: string; readonly remedy: string } {
  return {
    message: `other roles may write in the schema ${name}, so it is not trusted`,
    remedy: `run as its owner or as a superuser: ${revokes.join(" ")}`,
  };
}

/** Examines the ledger's schema in the session's database without reading its tables. */
export async function examineLedger(session: Session): Promise<LedgerTrust> {
  return await examineOwnSchema(session, ledgerSchema);
}

/**
 * The owner of one of the tool's schemas whose contents the session's role may not read, or does
 * not trust; undefined if it can read them, or there is none.
 */
export async function findHiddenOwner(session: Session, name: string): Promise<string | undefined> {
  const [hidden] = await session.query<{ readonly owner: string }>(
    `SELECT pg_catalog.pg_get_userbyid(n.nspowner)::pg_catalog.text AS owner
       FROM pg_catalog.pg_namespace AS n
      WHERE n.nspname = $1
        AND (NOT ${trusted("n.nspowner")}
             OR NOT pg_catalog.has_schema_privilege(n.oid, 'USAGE')
             OR EXISTS (SELECT FROM pg_catalog.pg_class AS c
                         WHERE c.relnamespace = n.oid AND c.relkind = 'r'
                           AND NOT pg_catalog.has_table_privilege(c.oid, 'SELECT')))`,
    [name],
  );
  return hidden?.owner;
}

/** Examines one of the tool's schemas in the session's database without reading its tables. */
export async function examineOwnSchema(session: Session, name: string): Promise<LedgerTrust> {
  const [schema] = await session.query<SchemaRow>(schemaStatement, [name]);
  if (schema === undefined) return { exists: false, problems: [], revokes: [] };
  if (!schema.trusted) {
    return {
      exists: true,
      problems: [`schema ${name} belongs to role "${schema.owner}"`],
      revokes: [],
    };
  }
  const found = await session.query<{ readonly relation: string; readonly problem: string }>(
    contentsStatement,
    [name],
  );
  const grants = await session.query<GrantRow>(grantsStatement, [name]);
  return {
    exists: true,
    problems: [
      ...found.map(({ relation, problem }) => `${name}.${relation} ${problem}`),
      ...grants.map(({ relation, grantee, privileges, revoke }) =>
        `${relation === null ? `schema ${name}` : `${name}.${relation}`} ` +
        `grants ${privileges} to ${grantee}: ${revoke};`
      ),
    ],
    revokes: found.length > 0 ? [] : grants.map(({ revoke }) => `${revoke};`),
  };
}

/**
 * Revokes what other roles could write in a schema that the session has just created: `ALTER
 * DEFAULT PRIVILEGES` of the session's role applies to its objects too, and the tool executes what
 * some of its tables contain.
 */
export async function revokeDefaultPrivileges(session: Session, name: string): Promise<void> {
  const grants = await session.query<GrantRow>(grantsStatement, [name]);
  for (const { revoke } of grants) await session.execute(revoke);
}

/**
 * Verifies that the ledger in the session's database was created by the tool, before anything in it
 * is read.
 *
 * @returns whether a ledger exists
 * @throws ReplicatorError (prerequisite) with the objects that do not belong to a ledger
 */
export async function refuseForeignLedger(session: Session): Promise<boolean> {
  const { exists, problems, revokes } = await examineLedger(session);
  const { database } = session.endpoint;
  if (problems.length > 0) {
    const { message, remedy } = revokes.length > 0 ? describeGrants(ledgerSchema, revokes) : {
      message:
        `the schema ${ledgerSchema} in database ${database} was not created by this role or a superuser, so it is not trusted`,
      remedy:
        "if an earlier run created it as another role, connect as that role; otherwise inspect and remove it " +
        `(DROP SCHEMA ${ledgerSchema} CASCADE), or start over with --no-resume --drop-existing`,
    };
    throw new ReplicatorError(message, {
      side: "target",
      object: `schema ${ledgerSchema}`,
      details: problems.slice(0, 10),
      remedy,
      exitCode: ExitCode.prerequisite,
    });
  }
  return exists;
}
