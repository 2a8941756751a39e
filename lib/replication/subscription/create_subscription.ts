/**
 * Creating a subscription, with the options that the versions and roles of both sides need.
 *
 * @module
 */
import {
  ExitCode,
  quoteIdentifier,
  quoteLiteral,
  redact,
  ReplicatorError,
  type Side,
} from "../../core/internal.ts";
import {
  describeEndpoint,
  type Endpoint,
  keepOutOfLog,
  minLibpqMajor,
  missingLibpqParameters,
  ServerError,
  type Session,
  SqlState,
  withoutEventTriggers,
} from "../../postgres/internal.ts";
import { commentOnSubscription, type ScopeComment } from "../publication/publication_comment.ts";
import { subscriptionConninfo } from "./subscription_conninfo.ts";
import { type HarmfulSetting, setWorkerSettings } from "./worker_settings.ts";

/**
 * Which changes a subscription asks for: `any`, or only those that the source did not receive from
 * elsewhere itself (`none`, 16 and later; earlier versions send all).
 */
export type SubscriptionOrigin = "any" | "none";

/** The facts that decide a subscription's options. */
export interface SubscriptionFacts {
  readonly sourceMajor: number;
  readonly targetMajor: number;
  /** Whether the binary format of every published column is the same on both sides. */
  readonly portableBinary: boolean;
  /** Whether the role on the target is a superuser. */
  readonly superuser: boolean;
  /** Whether the role may act as the owner of every table, as apply workers do by default (16+). */
  readonly canBecomeOwners: boolean;
  /** Whether the password is in a file of the target's server. */
  readonly usesPassfile: boolean;
  readonly origin: SubscriptionOrigin;
}

/**
 * The options of `CREATE SUBSCRIPTION`: disabled, with an existing slot, without copying.
 *
 * - `binary` (14+) only if no type can differ;
 * - `streaming` (14+) sends large transactions before they commit; parallel if both sides are 16 or
 *   later;
 * - `disable_on_error` (15+) stays off: it also reacts to a lost connection, so a restart of the
 *   source would disable the subscription, and the slot would fill the source's disk; apply errors
 *   are counted in any case;
 * - `two_phase` stays off: prepared transactions are sent at commit, and the target needs no
 *   `max_prepared_transactions`;
 * - `origin` (16+) is `any` for a stream to the target: changes that the source itself received
 *   from elsewhere are included;
 * - `password_required` (16+) is off only if a superuser keeps the password in a file;
 * - `run_as_owner` (16+) is on only if the role may not act as the tables' owners;
 * - `failover` (17+) is on: the slot is synchronized to the source's standbys.
 *
 * Source: PostgreSQL documentation, "CREATE SUBSCRIPTION".
 */
function subscriptionOptions(facts: SubscriptionFacts): Readonly<Record<string, string>> {
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
        origin: facts.origin,
        ...(facts.superuser && facts.usesPassfile ? { password_required: "false" } : {}),
        ...(facts.superuser || facts.canBecomeOwners ? {} : { run_as_owner: "true" }),
      }
      : {}),
    ...(both >= 17 ? { failover: "true" } : {}),
  };
}

/** What {@linkcode createSubscription} takes. */
export interface CreateSubscriptionOptions {
  /** A session on the target's database. */
  readonly session: Session;
  readonly name: string;
  readonly publication: string;
  readonly slot: string;
  /** The source, at the address by which the target's server reaches it. */
  readonly sourceFromTarget: Endpoint;
  readonly passfile: string | undefined;
  readonly origin: SubscriptionOrigin;
  readonly sourceMajor: number;
  readonly portableBinary: boolean;
  readonly scopeComment: ScopeComment;
  /** Settings with which an apply worker must not start. */
  readonly harmfulSettings: readonly HarmfulSetting[];
}

type RoleRow = { readonly superuser: boolean; readonly can_become_owners: boolean };

// can_become_owners matters only since 16
const roleStatement = `
  SELECT r.rolsuper AS superuser,
         NOT EXISTS (SELECT FROM pg_catalog.pg_class AS c
                      WHERE c.relkind IN ('r', 'p') AND c.relnamespace <> 'pg_catalog'::pg_catalog.regnamespace
                        AND c.relnamespace <> 'information_schema'::pg_catalog.regnamespace
                        AND NOT pg_catalog.pg_has_role(c.relowner, 'MEMBER')) AS can_become_owners
    FROM pg_catalog.pg_roles AS r
   WHERE r.rolname = current_user`;

/**
 * Creates a disabled subscription with its comment, in one transaction.
 *
 * @throws ReplicatorError if the target cannot reach the source, or the role may not subscribe
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
    origin: options.origin,
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
          ...options.scopeComment,
          ...(workerSettings.length === 0 ? {} : { workerSettings }),
        }),
      );
    });
  } catch (error) {
    throw explainCreation(error, options);
  }
}

/** The keyword for no slot; quoted, it would be a name. */
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

/**
 * @throws ReplicatorError if the target's libpq lacks a parameter that the source's URL requires
 */
function conninfoOf(
  { session, sourceFromTarget, passfile }: Pick<
    CreateSubscriptionOptions,
    "session" | "sourceFromTarget" | "passfile"
  >,
): string {
  const missing = missingLibpqParameters(sourceFromTarget, session.majorVersion);
  if (missing.length > 0) {
    throw new ReplicatorError(
      `the ${session.side} is PostgreSQL ${session.majorVersion}, which does not support ${
        missing.join(", ")
      } and would connect without it`,
      {
        side: session.side,
        object: `database ${session.endpoint.database}`,
        remedy: `set another URL with ${
          accessOptions(session.side).url
        }, or use a ${session.side} of PostgreSQL ${minLibpqMajor(sourceFromTarget)} or later`,
        exitCode: ExitCode.prerequisite,
      },
    );
  }
  return subscriptionConninfo(sourceFromTarget, { passfile, targetMajor: session.majorVersion });
}

/** The options that say how the server of a side connects to the other. */
function accessOptions(side: Side): { readonly url: string; readonly passfile: string } {
  return side === "target"
    ? { url: "--source-from-target", passfile: "--subscription-passfile" }
    : { url: "--target-from-source", passfile: "--way-back-passfile" };
}

function refuseHiddenPassword(
  { session, passfile }: Pick<CreateSubscriptionOptions, "session" | "passfile">,
  { superuser }: RoleRow,
): void {
  if (superuser || passfile === undefined) return;
  throw new ReplicatorError(
    `${
      accessOptions(session.side).passfile
    } requires a superuser on the ${session.side}: other roles need a password in the connection string`,
    {
      side: session.side,
      object: `database ${session.endpoint.database}`,
      remedy:
        "connect as a superuser, or omit the option: only superusers can read the password in pg_subscription.subconninfo",
      exitCode: ExitCode.prerequisite,
    },
  );
}

/**
 * Checks that the target's server reaches the source, before hours of copying: creates a
 * subscription and rolls it back.
 *
 * @returns false if it could not be checked, because the role may not create objects in this
 * database
 * @throws ReplicatorError if the target does not reach the source
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
      // a missing publication only causes a warning; an existing one would require its tables
      await session.execute(createStatement({ name, publication: name, conninfo, settings }));
      throw new ProbeDone();
    });
  } catch (error) {
    if (!(error instanceof ProbeDone)) throw explainCreation(error, options);
  }
  return true;
}

/** Rolls a probe back. */
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
  const { side } = session;
  const other = side === "target" ? "source" : "target";
  const place = { side, object: `database ${session.endpoint.database}` } as const;
  // before 15 a connection error has no SQLSTATE of its own
  const unreached = error.sqlState.startsWith("08") ||
    (session.majorVersion < 15 && error.sqlState === SqlState.internalError);
  if (unreached) {
    return new ReplicatorError(
      `the ${side}'s server cannot reach the ${other} at ${describeEndpoint(sourceFromTarget)}`,
      {
        ...place,
        details: [message],
        remedy: passfile === undefined
          ? `the ${side}'s server connects to the ${other} itself: set the address it must use with ${
            accessOptions(side).url
          }, and allow the connection ` +
            `(firewall, pg_hba.conf, sslmode, certificate files on the ${side}'s disk)`
          : `check that ${passfile} exists on the ${side}'s server, is readable only by the server's user (0600), and has a line for this host, port, database and user`,
        exitCode: ExitCode.prerequisite,
        cause: error,
      },
    );
  }
  if (error.sqlState === SqlState.insufficientPrivilege) {
    return new ReplicatorError(`permission denied to create the subscription: ${message}`, {
      ...place,
      remedy: session.majorVersion >= 16
        ? "GRANT pg_create_subscription TO the role (and CREATE on the database), or connect as a superuser or the provider's admin role"
        : "connect as a superuser or the provider's admin role: before 16, no other role can create subscriptions",
      exitCode: ExitCode.prerequisite,
      cause: error,
    });
  }
  return error;
}
