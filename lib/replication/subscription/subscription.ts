/**
 * Subscriptions: how one is made for the versions and roles of both sides, started, stopped and
 * dropped.
 *
 * @module
 */
import {
  ExitCode,
  quoteIdentifier,
  quoteLiteral,
  redact,
  ReplicatorError,
} from "../../core/internal.ts";
import {
  besideEventTriggers,
  describeEndpoint,
  type Endpoint,
  keepOutOfLog,
  minLibpqMajor,
  missingLibpqParameters,
  pause,
  ServerError,
  type Session,
  SqlState,
  withoutEventTriggers,
} from "../../postgres/internal.ts";
import {
  type ChangedIdentity,
  commentOnSubscription,
  type ScopeComment,
} from "../publication/publication_comment.ts";
import { type LeftIdentity, restoreIdentities } from "../publication/restore_replica_identities.ts";
import { subscriptionConninfo } from "./subscription_conninfo.ts";
import {
  type HarmfulSetting,
  restoreWorkerSettings,
  setWorkerSettings,
} from "./worker_settings.ts";

/** What the options of a subscription depend on. */
export interface SubscriptionFacts {
  readonly sourceMajor: number;
  readonly targetMajor: number;
  /** Whether every published column's binary form means the same on both sides. */
  readonly portableBinary: boolean;
  /** Whether our role on the target is a superuser. */
  readonly superuser: boolean;
  /**
   * Whether our role may become the owner of every table, as applying does unless told otherwise
   * (16+).
   */
  readonly canBecomeOwners: boolean;
  /** Whether the password is in a file of the target's server. */
  readonly usesPassfile: boolean;
}

/**
 * The options of `CREATE SUBSCRIPTION`: at rest, from a slot that is there, without copying.
 *
 * - `binary` (14+) only where no type could differ;
 * - `streaming`: large transactions come while they run (14+), applied by several workers where
 *   both are 16 or newer;
 * - `disable_on_error` (15+) stays off: a lost connection is an error to it too, so that a restart
 *   of the source would switch the subscription off for good, and its slot would fill the source's
 *   disk; errors of applying are counted all the same;
 * - `two_phase` stays off: prepared transactions come when they are committed, so the target needs
 *   no `max_prepared_transactions`;
 * - `origin` (16+) is `any`: what the source itself received from elsewhere has to come along;
 * - `password_required` (16+) is off only where a superuser keeps the password in a file;
 * - `run_as_owner` (16+) is on only where our role may not become the tables' owners;
 * - `failover` (17+): standbys of the source keep the slot.
 *
 * Source: PostgreSQL documentation, "CREATE SUBSCRIPTION".
 */
export function subscriptionOptions(facts: SubscriptionFacts): Readonly<Record<string, string>> {
  const { sourceMajor, targetMajor } = facts;
  const both = Math.min(sourceMajor, targetMajor);
  const streaming = both >= 16 ? "parallel" : both >= 14 ? "on" : undefined;
  return {
    copy_data: "false",
    create_slot: "false",
    enabled: "false",
    ...(both >= 14 && facts.portableBinary ? { binary: "true" } : {}),
    ...(streaming === undefined ? {} : { streaming }),
    ...(targetMajor >= 16
      ? {
        origin: "any",
        ...(facts.superuser && facts.usesPassfile ? { password_required: "false" } : {}),
        ...(facts.superuser || facts.canBecomeOwners ? {} : { run_as_owner: "true" }),
      }
      : {}),
    ...(both >= 17 ? { failover: "true" } : {}),
  };
}

/** What making a subscription takes. */
export interface CreateSubscriptionOptions {
  /** On the target's database. */
  readonly session: Session;
  readonly name: string;
  readonly publication: string;
  readonly slot: string;
  /** The source, as the target's server reaches it. */
  readonly sourceFromTarget: Endpoint;
  readonly passfile: string | undefined;
  readonly sourceMajor: number;
  readonly portableBinary: boolean;
  readonly descriptor: ScopeComment;
  /** Settings that an apply worker must not begin with. */
  readonly harmfulSettings: readonly HarmfulSetting[];
}

type RoleRow = { readonly superuser: boolean; readonly can_become_owners: boolean };

// before 16 nothing asks for it
const roleStatement = `
  SELECT r.rolsuper AS superuser,
         NOT EXISTS (SELECT FROM pg_catalog.pg_class AS c
                      WHERE c.relkind IN ('r', 'p') AND c.relnamespace <> 'pg_catalog'::pg_catalog.regnamespace
                        AND c.relnamespace <> 'information_schema'::pg_catalog.regnamespace
                        AND NOT pg_catalog.pg_has_role(c.relowner, 'MEMBER')) AS can_become_owners
    FROM pg_catalog.pg_roles AS r
   WHERE r.rolname = current_user`;

/**
 * Makes a subscription that does not apply anything yet, and describes it, both or neither.
 *
 * @throws ReplicatorError when the target does not reach the source, or may not subscribe
 */
export async function createSubscription(options: CreateSubscriptionOptions): Promise<void> {
  const { session, name, publication, slot } = options;
  const role = await session.queryOne<RoleRow>(roleStatement);
  refuseHiddenPassword(options, role);
  const settings = subscriptionOptions({
    sourceMajor: options.sourceMajor,
    targetMajor: session.majorVersion,
    portableBinary: options.portableBinary,
    superuser: role.superuser,
    canBecomeOwners: role.can_become_owners,
    usesPassfile: options.passfile !== undefined,
  });
  const conninfo = conninfoOf(options);
  try {
    await withoutEventTriggers(session, async () => {
      await keepOutOfLog(session);
      await session.execute(
        createStatement({
          name,
          publication,
          conninfo,
          settings: { ...settings, slot_name: slot },
        }),
      );
      const workerSettings = await setWorkerSettings(session, options.harmfulSettings);
      await session.execute(
        commentOnSubscription(name, {
          ...options.descriptor,
          ...(workerSettings.length === 0 ? {} : { workerSettings }),
        }),
      );
    });
  } catch (error) {
    throw explainCreation(error, options);
  }
}

/** The word for no slot; a quoted one would be a name. */
const none = "NONE";

function createStatement({ name, publication, conninfo, settings }: {
  readonly name: string;
  readonly publication: string;
  readonly conninfo: string;
  readonly settings: Readonly<Record<string, string>>;
}): string {
  const list = Object.entries(settings).map(([key, value]) =>
    `${key} = ${value === none ? none : quoteLiteral(value)}`
  );
  return `CREATE SUBSCRIPTION ${quoteIdentifier(name)} CONNECTION ${quoteLiteral(conninfo)} ` +
    `PUBLICATION ${quoteIdentifier(publication)} WITH (${list.join(", ")})`;
}

/** @throws ReplicatorError when the target's libpq is too old for what the source's URL demands */
function conninfoOf(
  { session, sourceFromTarget, passfile }: Pick<
    CreateSubscriptionOptions,
    "session" | "sourceFromTarget" | "passfile"
  >,
): string {
  const missing = missingLibpqParameters(sourceFromTarget, session.majorVersion);
  if (missing.length > 0) {
    throw new ReplicatorError(
      `the target is PostgreSQL ${session.majorVersion}, which does not know ${
        missing.join(", ")
      } and would subscribe without`,
      {
        side: "target",
        object: `database ${session.endpoint.database}`,
        remedy: `name another URL for it with --source-from-target, or use a target of PostgreSQL ${
          minLibpqMajor(sourceFromTarget)
        } or later`,
        exitCode: ExitCode.prerequisite,
      },
    );
  }
  return subscriptionConninfo(sourceFromTarget, { passfile, targetMajor: session.majorVersion });
}

function refuseHiddenPassword(
  { session, passfile }: Pick<CreateSubscriptionOptions, "session" | "passfile">,
  { superuser }: RoleRow,
): void {
  if (superuser || passfile === undefined) return;
  throw new ReplicatorError(
    "--subscription-passfile needs a superuser on the target: the server asks everyone else for a password in the connection string",
    {
      side: "target",
      object: `database ${session.endpoint.database}`,
      remedy:
        "connect as a superuser, or leave the option out: then only superusers can read the password (pg_subscription.subconninfo)",
      exitCode: ExitCode.prerequisite,
    },
  );
}

/**
 * Makes sure that the target's server reaches the source with this connection string, and leaves
 * nothing behind: a subscription is made and rolled back. To be done before hours of copying.
 *
 * @returns false when it could not be tried: the role may create nothing in this database
 * @throws ReplicatorError when it does not
 */
export async function probeSubscription(
  options: Pick<CreateSubscriptionOptions, "session" | "sourceFromTarget" | "passfile">,
): Promise<boolean> {
  const { session } = options;
  const role = await session.queryOne<RoleRow>(roleStatement);
  refuseHiddenPassword(options, role);
  const { allowed } = await session.queryOne<{ readonly allowed: boolean }>(
    "SELECT pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE') AS allowed",
  );
  if (!allowed) return false;
  const name = `seren_probe_${crypto.randomUUID().slice(0, 8)}`;
  const settings = {
    enabled: "false",
    create_slot: "false",
    copy_data: "false",
    slot_name: none,
    ...(session.majorVersion >= 16 && role.superuser && options.passfile !== undefined
      ? { password_required: "false" }
      : {}),
  };
  const conninfo = conninfoOf(options);
  try {
    await withoutEventTriggers(session, async () => {
      await keepOutOfLog(session);
      // a publication that is not there costs a warning; one that is would ask for its tables
      await session.execute(createStatement({ name, publication: name, conninfo, settings }));
      throw new ProbeDone();
    });
  } catch (error) {
    if (!(error instanceof ProbeDone)) throw explainCreation(error, options);
  }
  return true;
}

/** Takes back what a probe has made. */
class ProbeDone extends Error {}

function explainCreation(
  error: unknown,
  { session, sourceFromTarget, passfile }: Pick<
    CreateSubscriptionOptions,
    "session" | "sourceFromTarget" | "passfile"
  >,
): unknown {
  if (!(error instanceof ServerError)) return error;
  const message = redact(error.serverMessage.message);
  const place = { side: "target", object: `database ${session.endpoint.database}` } as const;
  // before 15 the error of the connection has no state of its own
  const unreached = error.sqlState.startsWith("08") ||
    (session.majorVersion < 15 && error.sqlState === SqlState.internalError);
  if (unreached) {
    return new ReplicatorError(
      `the target's server does not reach the source at ${describeEndpoint(sourceFromTarget)}`,
      {
        ...place,
        details: [message],
        remedy: passfile === undefined
          ? "the target connects to the source by itself: name the address by which it does with --source-from-target, and let it in " +
            "(firewall, pg_hba.conf, sslmode and certificate files on the target's own disk)"
          : `is ${passfile} on the target's server, readable for the server's user alone (0600), with a line for this host, port, database and user?`,
        exitCode: ExitCode.prerequisite,
        cause: error,
      },
    );
  }
  if (error.sqlState === SqlState.insufficientPrivilege) {
    return new ReplicatorError(`the subscription may not be made: ${message}`, {
      ...place,
      remedy: session.majorVersion >= 16
        ? "GRANT pg_create_subscription TO the role (and CREATE on the database), or connect as a superuser or the provider's admin role"
        : "before 16 it takes a superuser, or the provider's admin role",
      exitCode: ExitCode.prerequisite,
      cause: error,
    });
  }
  return error;
}

/** Lets a subscription apply. */
export async function enableSubscription(session: Session, name: string): Promise<void> {
  await withoutEventTriggers(
    session,
    () => session.execute(`ALTER SUBSCRIPTION ${quoteIdentifier(name)} ENABLE`),
  );
}

const workerPauseMs = 50;
/** How long a worker may take to notice that it is to stop, before it is ended. */
const workerPatienceMs = 3_000;

/**
 * Stops a subscription, and waits until nothing is being applied any more.
 *
 * A worker that waits for somebody's lock does not look whether it is to stop: it is ended, and
 * what it had begun rolled back.
 */
export async function disableSubscription(
  session: Session,
  { name, signal }: { readonly name: string; readonly signal?: AbortSignal | undefined },
): Promise<void> {
  await withoutEventTriggers(
    session,
    () => session.execute(`ALTER SUBSCRIPTION ${quoteIdentifier(name)} DISABLE`),
  );
  for (let waitedMs = 0;; waitedMs += workerPauseMs) {
    const workers = await session.query<{ readonly pid: number }>(
      "SELECT pid FROM pg_catalog.pg_stat_subscription WHERE subname = $1 AND pid IS NOT NULL",
      [name],
    );
    if (workers.length === 0) return;
    if (waitedMs > 0 && waitedMs % workerPatienceMs === 0) {
      for (const { pid } of workers) await endWorker(session, pid);
    }
    await pause(workerPauseMs, signal);
  }
}

async function endWorker(session: Session, pid: number): Promise<void> {
  try {
    await session.query("SELECT pg_catalog.pg_terminate_backend($1)", [pid]);
  } catch (error) {
    // a role that may not end it waits until it ends by itself
    if (!(error instanceof ServerError)) throw error;
  }
}

/**
 * Drops a subscription and leaves its slot: the source may be gone, and slots are ours to drop.
 *
 * @returns tables that had to be left at the replica identity that they have
 */
export async function dropSubscription(
  session: Session,
  { name, signal, restore = [], writtenBy }: {
    readonly name: string;
    readonly signal?: AbortSignal | undefined;
    /** Replica identities that its tables get back, or it stays. */
    readonly restore?: readonly ChangedIdentity[];
    /** OID of the role that could write `restore`. */
    readonly writtenBy?: number | undefined;
  },
): Promise<readonly LeftIdentity[]> {
  await disableSubscription(session, { name, signal });
  return await withoutEventTriggers(session, async () => {
    await session.execute("SET LOCAL lock_timeout = '10s'");
    await session.execute(`ALTER SUBSCRIPTION ${quoteIdentifier(name)} SET (slot_name = NONE)`);
    const left = await restoreIdentities(session, restore, {
      side: "target",
      writtenBy,
    });
    await restoreWorkerSettings(session, name);
    // DROP SUBSCRIPTION leaves the comment behind (12 to 18)
    await session.execute(`COMMENT ON SUBSCRIPTION ${quoteIdentifier(name)} IS NULL`);
    await session.execute(`DROP SUBSCRIPTION ${quoteIdentifier(name)}`);
    return left;
  });
}

/**
 * Makes a subscription forget the tables that its publication does not list any more, and stop
 * applying their changes at once.
 *
 * The slot goes on delivering changes of such tables for a while, since publications are looked up
 * in the catalog of the change's time; a worker passes over what is not in `pg_subscription_rel`,
 * but it looks only once: it has to start anew.
 */
export async function forgetRemovedTables(
  session: Session,
  { name, signal }: { readonly name: string; readonly signal?: AbortSignal | undefined },
): Promise<void> {
  await besideEventTriggers(session, () =>
    session.execute(
      `ALTER SUBSCRIPTION ${quoteIdentifier(name)} REFRESH PUBLICATION WITH (copy_data = false)`,
    ));
  await disableSubscription(session, { name, signal });
  await enableSubscription(session, name);
}
