/**
 * Globals on the target: each statement on its own, what is refused is reported.
 *
 * @module
 */
import { quoteIdentifier, redact } from "../core/internal.ts";
import { ServerError, type Session, SqlState } from "../postgres/internal.ts";
import { type Adaptation, isRefusal } from "./adaptation.ts";
import { bootstrapRole } from "./globals_catalog.ts";
import type { GlobalObject } from "./globals_model.ts";
import { type GlobalsTarget, type GlobalStep, planGlobals } from "./globals_plan.ts";
import type { Globals } from "./globals.ts";

/**
 * A membership of our own role that lets it give objects to their owners; to be revoked at the end.
 */
export interface TemporaryMembership {
  /** The role that was granted. */
  readonly role: string;
  /** Our own role. */
  readonly member: string;
}

/** What {@linkcode applyGlobals} did. */
export interface AppliedGlobals {
  /** Statements that took effect. */
  readonly applied: number;
  /** What was done differently or left out. */
  readonly adapted: readonly Adaptation[];
  /** Roles that were not there before. */
  readonly createdRoles: readonly string[];
  /** For {@linkcode revokeTemporaryMemberships}. */
  readonly temporaryMemberships: readonly TemporaryMembership[];
}

/**
 * Brings globals to the target. Roles that are there are altered, except the one we are connected
 * as and the bootstrap superuser. Not a transaction: what is done stays done, and doing it again
 * changes nothing.
 *
 * A role that is no superuser is made a member of the roles, so that it can create objects for
 * them: see {@linkcode revokeTemporaryMemberships}.
 *
 * @throws ConnectionError when the connection ends; ServerError when the server has trouble of its
 * own
 */
export async function applyGlobals(session: Session, globals: Globals): Promise<AppliedGlobals> {
  const target = await readTarget(session);
  const plan = planGlobals(globals.objects, target);
  const run = new GlobalsRun(session);
  run.adapted.push(...globals.notes, ...plan.notes);
  for (const step of plan.steps) await run.step(step);
  const temporaryMemberships = target.superuser
    ? []
    : await joinRoles(session, globals.objects, target, run.adapted);
  return {
    applied: run.applied,
    adapted: run.adapted,
    createdRoles: run.createdRoles,
    temporaryMemberships,
  };
}

/**
 * Takes back the memberships that {@linkcode applyGlobals} gave our own role; returns what could
 * not be.
 */
export async function revokeTemporaryMemberships(
  session: Session,
  memberships: readonly TemporaryMembership[],
): Promise<readonly Adaptation[]> {
  const adapted: Adaptation[] = [];
  for (const { role, member } of memberships) {
    try {
      await session.execute(
        `REVOKE ${quoteIdentifier(role)} FROM ${quoteIdentifier(member)}` +
          (session.majorVersion >= 16 ? " GRANTED BY CURRENT_USER" : ""),
      );
    } catch (error) {
      if (!isRefusal(error)) throw error;
      adapted.push({
        ...refusal(`role ${member}`, `membership in ${role} could not be revoked`, error),
        remedy: `REVOKE ${quoteIdentifier(role)} FROM ${quoteIdentifier(member)}`,
      });
    }
  }
  return adapted;
}

async function readTarget(session: Session): Promise<GlobalsTarget> {
  const [self, roles, tablespaces, bootstrap] = await Promise.all([
    session.queryOne<{ name: string; superuser: boolean }>(`
    SELECT rolname AS name, rolsuper AS superuser FROM pg_catalog.pg_roles WHERE rolname = current_user`),
    session.query<{ name: string; superuser: boolean; expires: boolean }>(`
    SELECT rolname AS name, rolsuper AS superuser,
           coalesce(rolvaliduntil < 'infinity', false) AS expires FROM pg_catalog.pg_roles`),
    session.query<{ name: string }>("SELECT spcname AS name FROM pg_catalog.pg_tablespace"),
    bootstrapRole(session),
  ]);
  return {
    majorVersion: session.majorVersion,
    currentRole: self.name,
    superuser: self.superuser,
    bootstrapRole: bootstrap,
    roles: new Map(roles.map(({ name, ...role }) => [name, role])),
    tablespaces: new Set(tablespaces.map(({ name }) => name)),
  };
}

/** Does the steps of a plan and notes how they ended. */
class GlobalsRun {
  readonly #session: Session;
  readonly adapted: Adaptation[] = [];
  readonly createdRoles: string[] = [];
  /** Objects that could not be made: what hangs on them is not tried. */
  readonly #missing = new Set<string>();
  applied = 0;

  constructor(session: Session) {
    this.#session = session;
  }

  async step(step: GlobalStep): Promise<void> {
    if (this.#missing.has(step.object)) return;
    let last: ServerError | undefined;
    for (const { sql, adaptation } of step.attempts) {
      try {
        await this.#session.execute(sql);
      } catch (error) {
        if (!isRefusal(error)) throw withoutStatement(error, step);
        last = error;
        continue;
      }
      this.applied++;
      if (step.creates !== undefined) this.createdRoles.push(step.creates);
      if (adaptation !== undefined) {
        this.adapted.push({
          side: "target",
          object: step.object,
          message: `${step.what}: ${adaptation}`,
        });
      }
      return;
    }
    if (step.parts !== undefined) {
      for (const part of step.parts) await this.step(part);
      return;
    }
    if (step.creates !== undefined || step.what === "tablespace") this.#missing.add(step.object);
    if (last === undefined) return;
    const note = refusal(step.object, `${step.what} refused`, last);
    this.adapted.push(step.remedy === undefined ? note : { ...note, remedy: step.remedy });
  }
}

function refusal(object: string, what: string, error: ServerError): Adaptation {
  return {
    side: "target",
    object,
    message: `${what}: ${redact(error.serverMessage.message)} (SQLSTATE ${error.sqlState})`,
  };
}

/**
 * Says what was being done; the server's CONTEXT and the rest of its message could hold a verifier
 * and are left out.
 */
function withoutStatement(error: unknown, { object, what }: GlobalStep): unknown {
  if (!(error instanceof ServerError)) return error;
  return new ServerError(
    { sqlState: error.sqlState, message: `${what}: ${redact(error.serverMessage.message)}` },
    { side: error.side ?? "target", object, remedy: error.remedy },
  );
}

/**
 * Makes our own role a member of the roles. CREATEROLE no longer is enough to act for others from
 * 16 on: it gives a membership with ADMIN only, by which we can give ourselves the rest.
 */
async function joinRoles(
  session: Session,
  objects: readonly GlobalObject[],
  { currentRole, majorVersion, roles }: GlobalsTarget,
  adapted: Adaptation[],
): Promise<readonly TemporaryMembership[]> {
  const joined: TemporaryMembership[] = [];
  const able = majorVersion >= 16
    ? "pg_catalog.pg_has_role(oid, 'USAGE') AND pg_catalog.pg_has_role(oid, 'SET')"
    : "pg_catalog.pg_has_role(oid, 'MEMBER')";
  const there = await session.query<{ name: string; able: boolean }>(
    `SELECT rolname AS name, ${able} AS able FROM pg_catalog.pg_roles`,
  );
  const wanted = new Set(objects.flatMap((object) => object.kind === "role" ? [object.name] : []));
  for (const { name, able } of there) {
    if (able || name === currentRole || !wanted.has(name)) continue;
    if (roles.get(name)?.superuser) continue; // only superusers could, and need not
    const options = majorVersion >= 16 ? " WITH INHERIT TRUE, SET TRUE" : "";
    try {
      await session.execute(
        `GRANT ${quoteIdentifier(name)} TO ${quoteIdentifier(currentRole)}${options}`,
      );
      joined.push({ role: name, member: currentRole });
    } catch (error) {
      if (!isRefusal(error)) throw error;
      adapted.push({
        ...refusal(`role ${name}`, `what it owns will belong to ${currentRole}`, error),
        ...(error.sqlState === SqlState.insufficientPrivilege
          ? {
            remedy: `let an administrator run: GRANT ${quoteIdentifier(name)} TO ${
              quoteIdentifier(currentRole)
            }`,
          }
          : {}),
      });
    }
  }
  return joined;
}
