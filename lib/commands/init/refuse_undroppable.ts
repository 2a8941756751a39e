/**
 * Refuses databases that cannot be dropped, before anything is changed.
 *
 * @module
 */
import { ExitCode, plural, poll, quoteIdentifier, ReplicatorError } from "../../core/internal.ts";
import { openSession, type Session, textArray, withDatabase } from "../../postgres/internal.ts";
import {
  listClientAppliers,
  type OwnedApplier,
  parseReplicationName,
} from "../../replication/internal.ts";
import type { PlannedDatabase } from "../shared/database_plan.ts";

const subscriptionStatement = `
  SELECT d.datname::pg_catalog.text AS database, s.subname::pg_catalog.text AS name
    FROM pg_catalog.pg_subscription AS s
    JOIN pg_catalog.pg_database AS d ON d.oid = s.subdbid
   WHERE d.datname::pg_catalog.text = ANY ($1::pg_catalog.text[])
   ORDER BY 1, 2`;

// If the role may not see a backend's type, a backend with a user counts as a client: autovacuum,
// which DROP DATABASE ends, has none.
const userStatement = `
  SELECT a.datname::pg_catalog.text AS database,
         pg_catalog.concat('session pid ', a.pid, ' (', pg_catalog.concat_ws(', ', a.usename, nullif(a.application_name, ''),
                pg_catalog.host(a.client_addr), a.state), ')') AS who
    FROM pg_catalog.pg_stat_activity AS a
   WHERE a.datname::pg_catalog.text = ANY ($1::pg_catalog.text[]) AND a.pid <> pg_catalog.pg_backend_pid() AND a.usename IS NOT NULL
     AND coalesce(a.backend_type, 'client backend') IN ('client backend', 'walsender')
   UNION ALL
  SELECT p.database::pg_catalog.text, pg_catalog.concat('prepared transaction ', pg_catalog.quote_literal(p.gid), ' (', p.owner, ')')
    FROM pg_catalog.pg_prepared_xacts AS p
   WHERE p.database::pg_catalog.text = ANY ($1::pg_catalog.text[])
   ORDER BY 1, 2`;

type Use = { readonly database: string; readonly who: string };

/**
 * As long as DROP DATABASE itself waits; the tool's own sessions take a moment to end too.
 */
const graceMs = 5_000;
const pollMs = 100;

/**
 * Refuses databases to be dropped that are in use, or have subscriptions that the run does not
 * drop.
 *
 * With replication, the tool's subscriptions are dropped when the new stream starts; without it,
 * their slots would remain on the source.
 *
 * @throws ReplicatorError (prerequisite) with all of them
 */
export async function refuseUndroppable(
  databases: readonly PlannedDatabase[],
  { session, withSync, signal }: {
    /** On the target's server. */
    readonly session: Session;
    readonly withSync: boolean;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  const dropped = databases.filter(({ action }) => action === "drop-and-create");
  if (dropped.length === 0) return;
  const subscriptions = (await session.query<{ readonly database: string; readonly name: string }>(
    subscriptionStatement,
    [textArray(dropped.map(({ target }) => target))],
  )).filter(({ name }) => !withSync || parseReplicationName(name) === undefined);
  const clients = withSync ? [] : await listClients(dropped, { session, signal });
  // sessions in an unfinished copy belong to an earlier run and are ending
  const users = await readUsers(
    dropped.filter(({ unfinished }) => unfinished === undefined).map(({ target }) => target),
    { session, signal },
  );
  const details = [
    ...subscriptions.flatMap(describeSubscription),
    ...clients.flatMap(({ database, name }) => [
      `${database} has the tool's stream ${name}, so it follows a source`,
      "  → run cleanup first, which also removes its slot; or init --enable-sync, which starts over",
    ]),
    ...users.flatMap(({ database, who }) => [`${database} is in use: ${who}`]),
    ...(users.length === 0 ? [] : [
      "  → end it (SELECT pg_catalog.pg_terminate_backend(PID);), and keep it from reconnecting",
    ]),
  ];
  if (details.length === 0) return;
  throw new ReplicatorError(
    `${plural(dropped.length, "database")} of the target cannot be dropped; nothing was changed`,
    { side: "target", details, exitCode: ExitCode.prerequisite },
  );
}

/** Streams whose changes the tool itself applies; their records are in the databases. */
async function listClients(
  databases: readonly PlannedDatabase[],
  { session, signal }: { readonly session: Session; readonly signal: AbortSignal },
): Promise<readonly OwnedApplier[]> {
  const found: OwnedApplier[] = [];
  for (const { target, contents } of databases) {
    // an invalid database can be dropped but not opened
    if (contents === undefined) continue;
    await using inside = await openSession(withDatabase(session.endpoint, target), { signal });
    found.push(...await listClientAppliers(inside));
  }
  return found;
}

function describeSubscription(
  { database, name }: { readonly database: string; readonly name: string },
): readonly string[] {
  return parseReplicationName(name) === undefined
    ? [
      `${database} has the subscription ${name}, which the tool did not create`,
      `  → if it is not needed, in ${database}: DROP SUBSCRIPTION ${quoteIdentifier(name)};`,
    ]
    : [
      `${database} has the tool's subscription ${name}, so it follows a source`,
      "  → run cleanup first, which also removes its slot; or init --enable-sync, which starts over",
    ];
}

async function readUsers(
  databases: readonly string[],
  { session, signal }: { readonly session: Session; readonly signal: AbortSignal },
): Promise<readonly Use[]> {
  if (databases.length === 0) return [];
  let users: readonly Use[] = [];
  await poll(async () => {
    users = await session.query<Use>(userStatement, [textArray(databases)]);
    return users.length === 0 || undefined;
  }, { intervalMs: pollMs, timeoutMs: graceMs, signal });
  return users;
}
