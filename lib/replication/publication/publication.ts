/**
 * Which tables a publication lists, with which rows, and what has to be changed on the source for
 * it.
 *
 * @module
 */
import {
  displayName,
  ExitCode,
  plural,
  quoteIdentifier,
  quoteQualified,
  ReplicatorError,
  tableKey,
  type TableName,
} from "../../core/internal.ts";
import {
  retry,
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
  type IdentityPolicy,
  identityProblem,
  identityRemedy,
  readReplicaIdentities,
} from "./replica_identity.ts";
import { type LeftIdentity, restoreIdentities } from "./restore_replica_identities.ts";

/** A table of a publication. */
export interface PublishedTable extends TableName {
  /** Rows for which it is true are published; all when undefined. */
  readonly predicate: string | undefined;
}

/** A table whose changes do not come, and why. */
export interface UnpublishedTable extends TableName {
  readonly reason: string;
  /** What would let it be published. */
  readonly remedy: string;
}

/** What is to be published. */
export interface PublicationPlan {
  readonly tables: readonly PublishedTable[];
  /** Tables that are copied once and then stay as they are. */
  readonly skipped: readonly UnpublishedTable[];
  /** Tables that are given REPLICA IDENTITY FULL, with what they have now. */
  readonly changedIdentities: readonly ChangedIdentity[];
  /** Tables whose rows the target finds by comparing all of their columns. */
  readonly byAllColumns: readonly TableName[];
}

/** A plan, with the tables that keep it from being carried out. */
export interface PublicationAssessment {
  readonly plan: PublicationPlan;
  /** Empty under the policy `skip`. */
  readonly problems: readonly UnpublishedTable[];
}

/** What planning takes. */
export interface PublicationInput {
  /** On the source's database. */
  readonly session: Session;
  /** Tables whose rows are copied: ordinary ones and leaf partitions. */
  readonly tables: readonly Table[];
  /** The condition that a table's rows must meet; undefined for all rows. */
  readonly predicateOf?: (table: TableName) => string | undefined;
  readonly policy: IdentityPolicy;
  /**
   * What earlier epochs have changed: a table that moves to a new one takes the memory of its
   * identity along.
   */
  readonly remembered?: readonly ChangedIdentity[];
}

/**
 * Decides about every table.
 *
 * Leaf partitions are listed, not their roots: the target has the same partitions, each copied for
 * itself under its own rules, so that a row that moves from one to another arrives as the DELETE
 * and INSERT that it is.
 *
 * @throws ReplicatorError with every table that cannot be published; nothing was changed
 */
export async function planPublication(input: PublicationInput): Promise<PublicationPlan> {
  const { plan, problems } = await assessPublication(input);
  if (problems.length > 0) throw cannotPublish(input.session, problems, input.policy);
  return plan;
}

/** {@linkcode planPublication} for reports: returns the tables that cannot be published. */
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
          ? "an unlogged table's changes are not in the WAL"
          : "it is not there any more",
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

async function decide({ input: { session, policy }, table, identity, predicate }: {
  readonly input: PublicationInput;
  readonly table: Table;
  readonly identity: Parameters<typeof identityProblem>[0];
  readonly predicate: string | undefined;
}): Promise<{ readonly problem: string | undefined; readonly makeFull: boolean }> {
  const sourceMajor = session.majorVersion;
  const columns = table.columns.map((column) => column.name);
  const asItIs = identityProblem(identity, sourceMajor) ??
    await filterProblem(session, { table, predicate, columns: identity.columns }) ??
    (identity.kind === "f" && identity.primaryKey.length === 0
      ? await equalityProblem(session, { table, columns })
      : undefined);
  if (asItIs === undefined || policy !== "full" || identity.kind === "f") {
    return { problem: asItIs, makeFull: false };
  }
  const asFull = await filterProblem(session, { table, predicate, columns: undefined }) ??
    await problemOfFull(session, { table, identity });
  return { problem: asFull, makeFull: asFull === undefined };
}

/**
 * Why REPLICA IDENTITY FULL would not do: the target finds rows by the primary key where there is
 * one, else by all columns.
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

async function filterProblem(session: Session, { table, predicate, columns }: {
  readonly table: Table;
  readonly predicate: string | undefined;
  /** Of the replica identity; undefined for all. */
  readonly columns: readonly string[] | undefined;
}): Promise<string | undefined> {
  if (predicate === undefined) return undefined;
  const answer = await checkPredicate(session, { table: asSourceTable(table), predicate });
  if ("problem" in answer) return `the source refuses its predicate: ${answer.problem}`;
  const problems = publicationProblems(answer.facts, {
    identity: { columns },
    sourceMajor: session.majorVersion,
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
    } cannot be published: UPDATE and DELETE would fail on the source, ` +
      "or could not be followed on the target; nothing was changed",
    {
      side: "source",
      object: `database ${session.endpoint.database}`,
      details: problems.flatMap((table) => [
        `${displayName(table)}: ${table.reason}`,
        `  → ${table.remedy}`,
      ]),
      remedy: policy === "fail"
        ? "--replica-identity full lets init set FULL where that helps, which makes the WAL of such tables larger and their UPDATE and " +
          "DELETE slower on the target; --replica-identity skip copies them once and leaves their changes out"
        : "leave them out with --exclude-tables, or copy them once with --replica-identity skip",
      exitCode: ExitCode.prerequisite,
    },
  );
}

/**
 * `CREATE PUBLICATION` with its list. ONLY, for each heir of a table is decided about itself.
 *
 * Generated columns are not published (the default of 18, and of what was before): the target
 * generates its own.
 */
export function createPublicationStatement(
  name: string,
  tables: readonly PublishedTable[],
): string {
  const list = tables.map(({ schema, name, predicate }) =>
    `ONLY ${quoteQualified(schema, name)}${
      predicate === undefined ? "" : ` WHERE ${inParentheses(predicate)}`
    }`
  );
  return `CREATE PUBLICATION ${quoteIdentifier(name)}${
    list.length === 0 ? "" : ` FOR TABLE ${list.join(", ")}`
  } WITH (publish = 'insert, update, delete, truncate')`;
}

/** Each attempt waits for the lock itself. */
const lockRetryDelaysMs: readonly number[] = [0, 0, 0, 0];

/**
 * Changes replica identities, makes the publication and writes down what was done, all in one
 * transaction: nothing is published before it can be, and nothing is changed that is not
 * remembered.
 *
 * @throws ReplicatorError when tables stay locked
 */
export async function createPublication(
  session: Session,
  { name, plan, descriptor }: {
    readonly name: string;
    readonly plan: PublicationPlan;
    readonly descriptor: ScopeComment;
  },
): Promise<void> {
  const statements = [
    // what a crash must not take back, whatever the server's default
    "SET LOCAL synchronous_commit = on",
    "SET LOCAL lock_timeout = '10s'", // ALTER TABLE in a queue makes everybody behind it wait
    ...plan.changedIdentities.map(({ schema, name }) =>
      `ALTER TABLE ${quoteQualified(schema, name)} REPLICA IDENTITY FULL`
    ),
    createPublicationStatement(name, plan.tables),
    commentOnPublication(name, { ...descriptor, changedIdentities: plan.changedIdentities }),
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

/** Adds a comment's news to a publication that is there. */
export async function describePublication(
  session: Session,
  { name, descriptor }: { readonly name: string; readonly descriptor: ScopeComment },
): Promise<void> {
  await withoutEventTriggers(
    session,
    () => session.execute(commentOnPublication(name, descriptor)),
  );
}

/**
 * Drops a publication of ours and gives the tables back the replica identity that they had, both or
 * neither; tables that are gone, or that somebody changed since, are passed over. Nothing happens
 * when there is none.
 *
 * @returns tables that had to be left as they are
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
    // whoever owns a publication can write anything into its comment
    return await restoreIdentities(session, changed, { side: "source", writtenBy: found.owner });
  });
}
