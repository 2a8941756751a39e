/**
 * Publications: which tables and rows they contain, and what has to change on the source for them.
 *
 * @module
 */
import type { IdentityPolicy } from "../../config/internal.ts";
import {
  displayName,
  ExitCode,
  plural,
  quoteIdentifier,
  quoteQualified,
  ReplicatorError,
  retry,
  tableKey,
  type TableName,
} from "../../core/internal.ts";
import {
  ServerError,
  type Session,
  SqlState,
  withoutEventTriggers,
} from "../../postgres/internal.ts";
import { checkPredicate, type Table } from "../../catalog/internal.ts";
import { inParentheses, publicationProblems, type SourceTable } from "../../rules/internal.ts";
import {
  type ChangedIdentity,
  commentOnPublication,
  parseComment,
  type ScopeComment,
} from "./publication_comment.ts";
import {
  equalityProblem,
  fullProblem,
  identityProblem,
  identityRemedy,
  readReplicaIdentities,
} from "./replica_identity.ts";
import { type LeftIdentity, restoreIdentities } from "./restore_replica_identities.ts";

/** A table of a publication. */
export interface PublishedTable extends TableName {
  /** The row filter; undefined publishes all rows. */
  readonly predicate: string | undefined;
}

/** A table whose changes are not published, and why. */
export interface UnpublishedTable extends TableName {
  readonly reason: string;
  /** What would make it publishable. */
  readonly remedy: string;
}

/** What a publication will contain. */
export interface PublicationPlan {
  readonly tables: readonly PublishedTable[];
  /** Tables that are copied once and not replicated. */
  readonly skipped: readonly UnpublishedTable[];
  /** Tables to be set to REPLICA IDENTITY FULL, with their current identity. */
  readonly changedIdentities: readonly ChangedIdentity[];
  /** Tables whose rows the target finds by comparing all of their columns. */
  readonly byAllColumns: readonly TableName[];
}

/** A plan, with the tables that prevent it. */
export interface PublicationAssessment {
  readonly plan: PublicationPlan;
  /** Empty under the policy `skip`. */
  readonly problems: readonly UnpublishedTable[];
}

/** What {@linkcode planPublication} takes. */
export interface PublicationInput {
  /** On the source's database. */
  readonly session: Session;
  /** Tables whose rows are copied: ordinary ones and leaf partitions. */
  readonly tables: readonly Table[];
  /** The row filter of a table; undefined for all rows. */
  readonly predicateOf?: (table: TableName) => string | undefined;
  readonly policy: IdentityPolicy;
  /** Whether the tool applies the changes, and filters what a source before 15 sends. */
  readonly isFilteredHere?: boolean;
  /** Changes of earlier streams: a table that moves to a new stream keeps its record. */
  readonly remembered?: readonly ChangedIdentity[];
}

/**
 * Plans a publication.
 *
 * It lists leaf partitions, not their roots: the target has the same partitions, each copied under
 * its own rules, so a row that moves between partitions arrives as a DELETE and an INSERT.
 *
 * @throws ReplicatorError with every table that cannot be published; nothing was changed
 */
export async function planPublication(input: PublicationInput): Promise<PublicationPlan> {
  const { plan, problems } = await assessPublication(input);
  if (problems.length > 0) throw cannotPublish(input.session, problems, input.policy);
  return plan;
}

/** Plans like {@linkcode planPublication}, but returns the tables that cannot be published. */
export async function assessPublication(input: PublicationInput): Promise<PublicationAssessment> {
  const { session, policy } = input;
  const identities = await readReplicaIdentities(session);
  const published: PublishedTable[] = [];
  const skipped: UnpublishedTable[] = [];
  const changedIdentities: ChangedIdentity[] = [];
  const problems: UnpublishedTable[] = [];
  const byAllColumns: TableName[] = [];
  for (const table of input.tables) {
    const { schema, name } = table;
    const predicate = input.predicateOf?.(table);
    const identity = identities.get(table.oid);
    if (identity === undefined) {
      skipped.push({
        schema,
        name,
        reason: table.isUnlogged
          ? "changes of unlogged tables are not written to WAL"
          : "it no longer exists",
        remedy: table.isUnlogged ? `ALTER TABLE ${quoteQualified(schema, name)} SET LOGGED;` : "",
      });
      continue;
    }
    const decided = await decide({ input, table, identity, predicate });
    const unpublished = async (reason: string): Promise<UnpublishedTable> => ({
      schema,
      name,
      reason,
      remedy: identityRemedy(identity, {
        canBeFull: await problemOfFull(session, { table, identity }) === undefined,
      }),
    });
    if (decided.problem === undefined) {
      published.push({ schema, name, predicate });
      if ((identity.kind === "f" || decided.makeFull) && identity.primaryKey.length === 0) {
        byAllColumns.push({ schema, name });
      }
      const remembered = input.remembered?.find((each) => tableKey(each) === tableKey(table));
      if (remembered !== undefined && identity.kind === "f") changedIdentities.push(remembered);
      else if (decided.makeFull) {
        changedIdentities.push({
          schema,
          name,
          oid: table.oid,
          before: identity.kind === "f" ? "d" : identity.kind,
          ...(identity.kind === "i" && identity.index !== undefined
            ? { index: identity.index }
            : {}),
        });
      }
    } else if (policy === "skip") skipped.push(await unpublished(decided.problem));
    else problems.push(await unpublished(decided.problem));
  }
  return { plan: { tables: published, skipped, changedIdentities, byAllColumns }, problems };
}

async function decide(
  { input: { session, policy, isFilteredHere = false }, table, identity, predicate }: {
    readonly input: PublicationInput;
    readonly table: Table;
    readonly identity: Parameters<typeof identityProblem>[0];
    readonly predicate: string | undefined;
  },
): Promise<{ readonly problem: string | undefined; readonly makeFull: boolean }> {
  const sourceMajor = session.majorVersion;
  const columns = table.columns.map((column) => column.name);
  const current = identityProblem(identity, sourceMajor) ??
    await filterProblem(session, { table, predicate, columns: identity.columns, isFilteredHere }) ??
    (identity.kind === "f" && identity.primaryKey.length === 0
      ? await equalityProblem(session, { table, columns })
      : undefined);
  if (current === undefined || policy !== "full" || identity.kind === "f") {
    return { problem: current, makeFull: false };
  }
  const asFull =
    await filterProblem(session, { table, predicate, columns: undefined, isFilteredHere }) ??
      await problemOfFull(session, { table, identity });
  return { problem: asFull, makeFull: asFull === undefined };
}

/**
 * Why REPLICA IDENTITY FULL would not help: the target finds rows by the primary key if the table
 * has one, otherwise by all columns.
 */
async function problemOfFull(
  session: Session,
  { table, identity }: {
    readonly table: Table;
    readonly identity: Parameters<typeof fullProblem>[0];
  },
): Promise<string | undefined> {
  const problem = fullProblem(identity, session.majorVersion);
  if (problem !== undefined || identity.primaryKey.length > 0) return problem;
  const columns = table.columns.map((column) => column.name);
  return await equalityProblem(session, { table, columns });
}

async function filterProblem(session: Session, { table, predicate, columns, isFilteredHere }: {
  readonly isFilteredHere: boolean;
  readonly table: Table;
  readonly predicate: string | undefined;
  /** Columns of the replica identity; undefined for all. */
  readonly columns: readonly string[] | undefined;
}): Promise<string | undefined> {
  if (predicate === undefined) return undefined;
  const answer = await checkPredicate(session, { table: asSourceTable(table), predicate });
  if ("problem" in answer) return `the source rejects its predicate: ${answer.problem}`;
  const problems = publicationProblems(answer.facts, {
    identity: { columns },
    sourceMajor: session.majorVersion,
    isFilteredHere,
  });
  return problems.length === 0 ? undefined : problems.join("; ");
}

function asSourceTable(table: Table): SourceTable {
  return {
    schema: table.schema,
    name: table.name,
    kind: "table",
    parents: [],
    isPartition: table.isPartition,
    needs: [],
    extension: undefined,
    isExtensionConfiguration: table.extensionCondition !== undefined,
    columns: table.columns.map(({ name, typeName }) => ({ name, type: typeName })),
  };
}

function cannotPublish(
  session: Session,
  problems: readonly UnpublishedTable[],
  policy: IdentityPolicy,
): ReplicatorError {
  return new ReplicatorError(
    `${
      plural(problems.length, "table")
    } cannot be published: UPDATE and DELETE would fail on the source ` +
      "or could not be applied on the target; nothing was changed",
    {
      side: "source",
      object: `database ${session.endpoint.database}`,
      details: problems.flatMap((table) => [
        `${displayName(table)}: ${table.reason}`,
        `  → ${table.remedy}`,
      ]),
      remedy: policy === "fail"
        ? "--replica-identity full sets FULL where that helps, at the cost of more WAL and slower UPDATE and DELETE on the target; " +
          "--replica-identity skip copies these tables once without replicating their changes"
        : "exclude them with --exclude-tables, or copy them once with --replica-identity skip",
      exitCode: ExitCode.prerequisite,
    },
  );
}

/** Whether publications of the session's server filter rows. */
export function filtersRows({ majorVersion }: Pick<Session, "majorVersion">): boolean {
  return majorVersion >= 15;
}

/**
 * The `CREATE PUBLICATION` statement. ONLY, because child tables are planned individually.
 *
 * Generated columns are not published, which is the default of every version: the target generates
 * its own values.
 */
function createPublicationStatement(
  name: string,
  { tables, session }: {
    readonly tables: readonly PublishedTable[];
    readonly session: Session;
  },
): string {
  const list = tables.map(({ schema, name, predicate }) =>
    `ONLY ${quoteQualified(schema, name)}${
      predicate === undefined || !filtersRows(session) ? "" : ` WHERE ${inParentheses(predicate)}`
    }`
  );
  return `CREATE PUBLICATION ${quoteIdentifier(name)}${
    list.length === 0 ? "" : ` FOR TABLE ${list.join(", ")}`
  } WITH (publish = 'insert, update, delete, truncate')`;
}

/** Each attempt waits for the lock itself. */
const lockRetryDelaysMs: readonly number[] = [0, 0, 0, 0];

/**
 * Changes replica identities, creates the publication and records both in its comment, in one
 * transaction: nothing is published before it can be, and no change goes unrecorded.
 *
 * @throws ReplicatorError if tables stay locked
 */
export async function createPublication(
  session: Session,
  { name, plan, scopeComment }: {
    readonly name: string;
    readonly plan: PublicationPlan;
    readonly scopeComment: ScopeComment;
  },
): Promise<void> {
  const statements = [
    // a crash must not undo it, whatever the server's default
    "SET LOCAL synchronous_commit = on",
    "SET LOCAL lock_timeout = '10s'", // a waiting ALTER TABLE blocks every session queued behind it
    ...plan.changedIdentities.map(({ schema, name }) =>
      `ALTER TABLE ${quoteQualified(schema, name)} REPLICA IDENTITY FULL`
    ),
    createPublicationStatement(name, { tables: plan.tables, session }),
    commentOnPublication(name, { ...scopeComment, changedIdentities: plan.changedIdentities }),
  ];
  await retry(
    () =>
      withoutEventTriggers(session, async () => {
        for (const statement of statements) await session.execute(statement);
      }),
    { delaysMs: lockRetryDelaysMs, isRetryable: isLockConflict },
  );
}

function isLockConflict(error: unknown): boolean {
  return error instanceof ServerError &&
    (error.sqlState === SqlState.lockNotAvailable || error.sqlState === SqlState.deadlockDetected);
}

/** Updates the comment of an existing publication. */
export async function describePublication(
  session: Session,
  { name, scopeComment }: { readonly name: string; readonly scopeComment: ScopeComment },
): Promise<void> {
  await withoutEventTriggers(
    session,
    () => session.execute(commentOnPublication(name, scopeComment)),
  );
}

/**
 * Drops a publication and restores its tables' replica identities, in one transaction. Skips tables
 * that were dropped or changed since. Does nothing if the publication does not exist.
 *
 * @returns tables whose replica identity could not be restored
 */
export async function dropPublication(
  session: Session,
  name: string,
): Promise<readonly LeftIdentity[]> {
  const [found] = await session.query<{ readonly comment: string | null; readonly owner: number }>(
    `SELECT pg_catalog.obj_description(p.oid, 'pg_publication') AS comment, p.pubowner AS owner
       FROM pg_catalog.pg_publication AS p WHERE p.pubname = $1`,
    [name],
  );
  if (found === undefined) return [];
  const changed = parseComment(found.comment)?.changedIdentities ?? [];
  return await withoutEventTriggers(session, async () => {
    await session.execute(
      `SET LOCAL lock_timeout = '10s'; DROP PUBLICATION IF EXISTS ${quoteIdentifier(name)}`,
    );
    // the owner of a publication can write anything into its comment
    return await restoreIdentities(session, changed, { side: "source", writtenBy: found.owner });
  });
}
