/**
 * Reads what the roles may do, for `prepare`.
 *
 * @module
 */
import {
  cutoverSchema,
  ExitCode,
  ReplicatorError,
  tableKey,
  type TableName,
} from "../core/internal.ts";
import { type Session, textArray } from "../postgres/internal.ts";
import { listTables, maySubscribe, readRolePrivileges } from "../catalog/internal.ts";
import {
  assessPublication,
  probeSubscription,
  readAppliers,
  type SubscriptionAccess,
} from "../replication/internal.ts";
import type { PrivilegeFacts, RoleFacts, WayBackFacts } from "./privileges.ts";

/** What {@linkcode readPrivileges} takes. */
export interface PrivilegesInput {
  readonly source: Session;
  readonly target: Session;
  /** Streams from the source to the target. */
  readonly streams: readonly string[];
  /** Tables that get a fence. */
  readonly tables: readonly TableName[];
  /** How the source's server connects to the target; undefined for no way back. */
  readonly wayBack: SubscriptionAccess | undefined;
  /**
   * Whether the source's server tries to connect: this creates a subscription and rolls it back.
   */
  readonly probes: boolean;
}

/** Reads the privileges of both roles. */
export async function readPrivileges(input: PrivilegesInput): Promise<PrivilegeFacts> {
  const { source, target, streams, tables, wayBack } = input;
  const subscriptions = (await readAppliers(target)).filter(({ name, kind }) =>
    kind === "subscription" && streams.includes(name)
  );
  return {
    source: await readRole(source, tables),
    target: await readRole(target, tables),
    publications: await readNames(source, publicationStatement, streams),
    subscriptions: await readNames(
      target,
      subscriptionStatement,
      subscriptions.map(({ name }) => name),
    ),
    wayBack: wayBack === undefined ? undefined : await readWayBack(wayBack, input),
  };
}

const publicationStatement = `
  SELECT p.pubname::pg_catalog.text AS name
    FROM pg_catalog.pg_publication AS p
   WHERE p.pubname = ANY ($1::pg_catalog.name[]) AND NOT pg_catalog.pg_has_role(p.pubowner, 'USAGE')
   ORDER BY 1`;

const subscriptionStatement = `
  SELECT s.subname::pg_catalog.text AS name
    FROM pg_catalog.pg_subscription AS s
    JOIN pg_catalog.pg_database AS d ON d.oid = s.subdbid
   WHERE s.subname = ANY ($1::pg_catalog.name[]) AND d.datname = pg_catalog.current_database()
     AND NOT pg_catalog.pg_has_role(s.subowner, 'USAGE')
   ORDER BY 1`;

async function readNames(
  session: Session,
  statement: string,
  names: readonly string[],
): Promise<readonly string[]> {
  const rows = await session.query<{ readonly name: string }>(statement, [textArray(names)]);
  return rows.map(({ name }) => name);
}

const roleStatement = `
  SELECT current_user::pg_catalog.text AS role,
         coalesce((SELECT pg_catalog.has_language_privilege(l.oid, 'USAGE')
                     FROM pg_catalog.pg_language AS l WHERE l.lanname = 'plpgsql'), true) AS may_use_plpgsql`;

const triggerStatement = `
  SELECT n.nspname AS schema, c.relname AS name
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
   WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_' AND n.nspname <> '${cutoverSchema}'
     AND pg_catalog.pg_has_role(c.relowner, 'USAGE')
     AND NOT (pg_catalog.has_table_privilege(c.oid, 'TRIGGER')
              AND pg_catalog.has_schema_privilege(n.oid, 'USAGE'))
   ORDER BY n.nspname COLLATE pg_catalog."C", c.relname COLLATE pg_catalog."C"`;

async function readRole(session: Session, tables: readonly TableName[]): Promise<RoleFacts> {
  const row = await session.queryOne<
    { readonly role: string; readonly may_use_plpgsql: boolean }
  >(roleStatement);
  const keys = new Set(tables.map((table) => tableKey(table)));
  const found = await session.query<TableName & Record<string, unknown>>(triggerStatement);
  return {
    role: row.role,
    mayUsePlpgsql: row.may_use_plpgsql,
    withoutTrigger: found.filter((table) => keys.has(tableKey(table))),
  };
}

// on RDS, a role replaces the attribute
const replicateStatement = `
  SELECT r.rolsuper OR r.rolreplication
           OR EXISTS (SELECT FROM pg_catalog.pg_roles AS g
                       WHERE g.rolname = 'rds_replication' AND pg_catalog.pg_has_role(r.oid, g.oid, 'USAGE'))
         AS allowed
    FROM pg_catalog.pg_roles AS r
   WHERE r.rolname = coalesce($1::pg_catalog.name, current_user)`;

/** @returns undefined if the role does not exist */
async function roleMayReplicate(
  session: Session,
  role: string | null,
): Promise<boolean | undefined> {
  const [row] = await session.query<{ readonly allowed: boolean }>(replicateStatement, [role]);
  return row?.allowed;
}

async function readWayBack(
  access: SubscriptionAccess,
  { source, target, tables, probes }: PrivilegesInput,
): Promise<WayBackFacts> {
  const { max_workers } = await source.queryOne<{ readonly max_workers: number }>(
    "SELECT pg_catalog.current_setting('max_logical_replication_workers')::pg_catalog.int4 AS max_workers",
  );
  const keys = new Set(tables.map((table) => tableKey(table)));
  const { problems } = await assessPublication({
    session: target,
    tables: (await listTables(target)).filter((table) => keys.has(tableKey(table))),
    policy: "full",
  });
  const { user } = access.sourceFromTarget;
  const userMayReplicate = await roleMayReplicate(target, user);
  const isAllowed = maySubscribe(await readRolePrivileges(source));
  return {
    major: source.majorVersion,
    maySubscribe: isAllowed,
    maxWorkers: max_workers,
    mayReplicate: await roleMayReplicate(target, null) === true,
    user,
    userMayReplicate,
    unpublishable: problems.map(({ schema, name, reason }) => ({ schema, name, reason })),
    unreached: probes && isAllowed && userMayReplicate === true
      ? await probe(source, access)
      : undefined,
  };
}

async function probe(
  session: Session,
  access: SubscriptionAccess,
): Promise<WayBackFacts["unreached"]> {
  try {
    await probeSubscription({ session, ...access });
    return undefined;
  } catch (error) {
    const isReason = error instanceof ReplicatorError && session.isOpen &&
      error.exitCode === ExitCode.prerequisite;
    if (!isReason) throw error;
    return { message: [error.message, ...error.details].join(": "), remedy: error.remedy };
  }
}
