/**
 * The checks of one database that will be copied.
 *
 * @module
 */
import type { IdentityPolicy, RestoreSearchPath } from "../../config/internal.ts";
import {
  listComputingFunctions,
  listProviderSchemas,
  readIdentity,
  readSearchPathUse,
  tryLocale,
} from "../../catalog/internal.ts";
import { joinAll, tableKey, type TableName } from "../../core/internal.ts";
import {
  openSession,
  readEventTriggers,
  type Session,
  withDatabase,
} from "../../postgres/internal.ts";
import { type IdentityFacts } from "../../rules/internal.ts";
import type {
  ApplierKind,
  ChangeActor,
  Hazard,
  UnpublishedTable,
} from "../../replication/internal.ts";
import { loadReplication } from "../shared/load_replication.ts";
import { type ServerPair } from "../shared/server_pair.ts";
import { type PlannedDatabase } from "../shared/database_plan.ts";
import { withSessionIn } from "../shared/session_in.ts";
import type { Check } from "../shared/validation_report.ts";
import { type DatabaseScope } from "../shared/table_scope.ts";
import { checkOr, fail } from "./check.ts";
import {
  checkEncoding,
  checkLocale,
  checkTargetEmpty,
  type LocaleAnswer,
  localesToTry,
} from "./database_checks.ts";
import { checkExtensions } from "./extension_checks.ts";
import {
  readSourceDatabase,
  readTargetDatabase,
  type ServerFacts,
  type SourceDatabaseFacts,
  type TargetOffer,
} from "./facts.ts";
import { checkEventTriggers, checkSpecialObjects } from "./object_checks.ts";
import { checkSearchPath } from "./search_path_checks.ts";
import { checkOwnDdl, checkWorkerSettings } from "./own_ddl_checks.ts";
import { checkProviderSchemas } from "./provider_checks.ts";
import { checkReadable, checkTargetDatabase } from "./privilege_checks.ts";
import { checkHazards, checkReplicaIdentity } from "./replication_checks.ts";
import { checkRules } from "./rule_checks.ts";
import { checkUserCode } from "./user_code_check.ts";

/** Both servers, and how the database will be copied. */
export interface DatabaseContext {
  readonly sides: ServerPair;
  readonly source: ServerFacts;
  readonly target: ServerFacts;
  readonly offer: TargetOffer;
  readonly forSync: boolean;
  readonly identity: IdentityPolicy;
  /** What will apply the changes; undefined if that is not known. */
  readonly applier: ApplierKind | undefined;
  readonly restoreSearchPath: RestoreSearchPath;
  readonly signal: AbortSignal;
  /** Undefined when there are no rules. */
  readonly scope: DatabaseScope | undefined;
}

/** The checks of one database, on both sides. */
export async function checkDatabase(
  planned: PlannedDatabase,
  context: DatabaseContext,
): Promise<readonly Check[]> {
  const { sides, offer, signal } = context;
  const onTarget = { id: "target-database", side: "target", database: planned.target } as const;
  const onSource = {
    id: "source-database",
    side: "source",
    database: planned.source.name,
  } as const;
  const found = await joinAll([
    checkOr({ ...onTarget, id: "locale" }, {
      essential: false,
      signal,
      check: async () => [
        checkLocale(planned, {
          locales: offer.locales,
          targetMajor: context.target.majorVersion,
          tried: await tryLocales(sides.target, localesToTry(planned, offer.locales)),
        }),
      ],
    }),
    checkOr(onTarget, {
      essential: true,
      signal,
      check: () => checkExistingTarget(planned, context),
    }),
    checkOr(onSource, {
      essential: true,
      signal,
      check: () => checkSource(planned, context),
    }),
  ]);
  return [...checkTargetEmpty(planned), checkEncoding(planned), ...found.flat()];
}

async function tryLocales(
  session: Session,
  locales: readonly string[],
): Promise<ReadonlyMap<string, LocaleAnswer>> {
  const tried = new Map<string, LocaleAnswer>();
  for (const locale of locales) tried.set(locale, await tryLocale(session, locale));
  return tried;
}

async function checkExistingTarget(
  planned: PlannedDatabase,
  { sides, target, signal }: DatabaseContext,
): Promise<readonly Check[]> {
  const { action } = planned;
  if (action !== "fill-empty" && action !== "drop-and-create") return [];
  // an invalid database can be dropped but not opened
  if (planned.contents === undefined) return [];
  await using session = await openSession(withDatabase(sides.target.endpoint, planned.target), {
    signal,
  });
  const facts = await readTargetDatabase(session);
  if (action !== "fill-empty") {
    return [
      checkTargetDatabase(planned, { role: target.role, facts }),
      ...await withSessionIn(
        sides.source,
        { database: planned.source.name, signal },
        (source) => checkNotInUse({ source, target: session }),
      ),
    ];
  }
  // none fire in a superuser's sessions from 17 on
  const running = await readEventTriggers(session);
  return [
    checkTargetDatabase(planned, { role: target.role, facts }),
    checkEventTriggers(planned.target, running.map(({ name }) => name)),
    await checkOwnDdl(session, { side: "target", database: planned.target }),
  ];
}

/** Rows that clients have written since a cutover exist nowhere else. */
async function checkNotInUse(
  { source, target }: { readonly source: Session; readonly target: Session },
): Promise<readonly Check[]> {
  const { observeSide } = await import("../../cutover/own_schema.ts");
  const closed = (await observeSide(source)).record;
  const opened = (await observeSide(target)).record;
  // finish leaves a record on the source only
  const isInUse = closed?.isOpen === false || closed?.details.isFinished === true ||
    opened?.isOpen === true && opened.details.isPrepared;
  const { database } = target.endpoint;
  return isInUse
    ? [
      fail({ id: "target-database", side: "target", database }, {
        finding:
          `database ${database} may be in use since a cutover, which has closed the source: dropping it would lose what was written to it`,
        fix:
          "cutover status shows the phase; before it is dropped on purpose, run cutover rollback, or after cutover finish cleanup; or choose another database with --map",
      }),
    ]
    : [];
}

async function checkSource(
  planned: PlannedDatabase,
  context: DatabaseContext,
): Promise<readonly Check[]> {
  const { sides, signal } = context;
  return await withSessionIn(
    sides.source,
    { database: planned.source.name, signal },
    (session) => checkInside(session, planned, context),
  );
}

async function checkInside(
  session: Session,
  planned: PlannedDatabase,
  { source, target, offer, forSync, identity, applier, restoreSearchPath, scope }: DatabaseContext,
): Promise<readonly Check[]> {
  const database = planned.source.name;
  const facts = factsWithinScope(await readSourceDatabase(session), scope);
  const { role, majorVersion } = source;
  // other policies are decided, and reported, when the tables are published
  const strict = forSync && identity === "fail";
  const identities = new Map<string, IdentityFacts>();
  for (const { table } of forSync ? scope?.scope.tables ?? [] : []) {
    if (scope?.predicates.has(tableKey(table))) {
      identities.set(tableKey(table), await readIdentity(session, table));
    }
  }
  // tables without rows are not published
  const tables = facts.tables.filter((table) => scope?.scope.hasRows(table) ?? true);
  const followed = forSync
    ? await assessFollowing(session, {
      facts,
      tables,
      scope,
      policy: identity,
      targetMajor: target.majorVersion,
      actor: applier === "client"
        ? {
          kind: applier,
          bypassesRowSecurity: target.role.superuser || target.role.bypassRowSecurity,
        }
        : { kind: "subscription" },
    })
    : undefined;
  return [
    ...(scope === undefined ? [] : checkRules(scope, {
      forSync: strict,
      sourceMajor: majorVersion,
      identities,
      isFilteredHere: applier === "client",
    })),
    ...checkProviderSchemas(database, {
      schemas: await listProviderSchemas(session),
      tables: facts.tables,
      source,
    }),
    ...checkReadable(database, { facts, role, majorVersion }),
    ...checkReplicaIdentity(database, {
      facts: { ...facts, tables },
      role,
      forSync,
      policy: identity,
      unpublished: followed?.unpublished,
    }),
    ...checkHazards(database, followed?.hazards ?? []),
    checkUserCode(planned.target, {
      functions: await listComputingFunctions(session),
      role: target.role,
      forSync,
    }),
    ...checkSearchPath(
      database,
      (await readSearchPathUse(session)).filter(({ kind, table }) =>
        table === undefined || kind === "materialized view" || (scope?.scope.isMade(table) ?? true)
      ),
      { targetMajor: target.majorVersion, forSync, ownPath: restoreSearchPath === "own" },
    ),
    ...(forSync
      ? [
        await checkOwnDdl(session, { side: "source", database }),
        await checkWorkerSettings(session, database),
      ]
      : []),
    ...checkSpecialObjects(database, { facts, targetTablespaces: target.tablespaces, forSync }),
    ...checkExtensions(planned.target, {
      installed: facts.extensions,
      available: offer.extensions,
      present: planned.action === "fill-empty" ? planned.contents?.extensions ?? [] : [],
      target,
    }),
  ];
}

/** Tables that cannot be published, and hazards that would stop replication later. */
async function assessFollowing(
  session: Session,
  { facts, tables, scope, policy, targetMajor, actor }: {
    readonly facts: SourceDatabaseFacts;
    readonly tables: SourceDatabaseFacts["tables"];
    readonly scope: DatabaseScope | undefined;
    readonly policy: IdentityPolicy;
    readonly targetMajor: number;
    readonly actor: ChangeActor;
  },
): Promise<
  { readonly unpublished: readonly UnpublishedTable[]; readonly hazards: readonly Hazard[] }
> {
  const { assessPublication, findHazards } = await loadReplication();
  const { plan, problems } = await assessPublication({ session, tables, policy });
  const onTarget = new Set(facts.tables.map(tableKey));
  return {
    unpublished: [
      ...problems,
      ...plan.skipped.filter((skipped) =>
        tables.some((table) => !table.isUnlogged && tableKey(table) === tableKey(skipped))
      ),
    ],
    hazards: await findHazards(session, {
      tables: facts.tables,
      plan,
      targetMajor,
      actor,
      isOnTarget: (table) => onTarget.has(tableKey(table)) || scope === undefined,
    }),
  };
}

/** Excluded tables need not be readable or publishable. */
function factsWithinScope(
  facts: SourceDatabaseFacts,
  scope: DatabaseScope | undefined,
): SourceDatabaseFacts {
  if (scope === undefined) return facts;
  const gone = new Set(scope.consequences.relations.map(tableKey));
  const kept = (relation: TableName) => !gone.has(tableKey(relation));
  return {
    ...facts,
    tables: facts.tables.filter(kept),
    access: facts.access.filter(kept),
    sequences: facts.sequences.filter(kept),
  };
}
