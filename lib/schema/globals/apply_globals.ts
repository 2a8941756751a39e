/**
 * Applies globals to the target: each statement on its own; refused ones are reported.
 *
 * @module
 */
import { joinAll, quoteIdentifier, redact } from "../../core/internal.ts";
import { ServerError, type Session, SqlState } from "../../postgres/internal.ts";
import { type Adaptation, isRefusal } from "../apply/adaptation.ts";
import { bootstrapRole, canReadPasswords, readGlobals } from "./catalog.ts";
import type {
  GlobalObject,
  MembershipObject,
  RoleObject,
  Setting,
  TablespaceObject,
} from "./model.ts";
import { providerRole } from "./provider_roles.ts";
import { type GlobalsTarget, type GlobalStep, planGlobals } from "./plan.ts";
import type { Globals } from "./globals.ts";

/**
 * A membership granted to the tool's role so that it can assign objects to their owners; revoked at
 * the end.
 */
export interface TemporaryMembership {
  /** The role that was granted. */
  readonly role: string;
  /** The tool's role. */
  readonly member: string;
}

/** What {@linkcode applyGlobals} did. */
export interface AppliedGlobals {
  /** Statements that took effect. */
  readonly applied: number;
  /** What was done differently or left out. */
  readonly adapted: readonly Adaptation[];
  /** Roles that did not exist before. */
  readonly createdRoles: readonly string[];
  /** For {@linkcode revokeTemporaryMemberships}. */
  readonly temporaryMemberships: readonly TemporaryMembership[];
}

/**
 * Applies globals to the target. Existing roles gain what they lack and lose nothing; the session's
 * own role and the bootstrap superuser are not altered. This is not one transaction, but it is
 * idempotent.
 *
 * If the session's role is not a superuser, it is made a member of the roles so that it can create
 * objects for them: see {@linkcode revokeTemporaryMemberships}.
 *
 * @throws ConnectionError when the connection is lost; ServerError when the server fails for a
 * reason other than the statement
 */
export async function applyGlobals(session: Session, globals: Globals): Promise<AppliedGlobals> {
  const target = await readTarget(session);
  const plan = planGlobals(globals.objects, target);
  const run = new GlobalsRun(session);
  run.adapted.push(...globals.notes, ...plan.notes, ...plan.existing);
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
 * Revokes the memberships that {@linkcode applyGlobals} granted to the tool's role; returns those
 * that could not be revoked.
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

/** What {@linkcode previewGlobals} returns. */
export interface GlobalsPreview {
  /** What existing objects gain, and what they keep although the source differs. */
  readonly adapted: readonly Adaptation[];
  /** Roles of the source that exist on the target, but for the one that connects there. */
  readonly sharedRoles: readonly string[];
}

/**
 * What roles and settings that already exist on the target will gain, and what they will keep
 * although the source differs: for the plan, before anything is changed.
 */
export async function previewGlobals(
  source: Session,
  target: Session,
): Promise<GlobalsPreview> {
  const [objects, facts] = await joinAll([readGlobals(source), readTarget(target)]);
  const copied = objects.filter((object) =>
    object.kind !== "role" || providerRole(object.name) === undefined
  );
  return {
    adapted: planGlobals(copied, facts).existing,
    sharedRoles: copied.flatMap((object) =>
      object.kind === "role" && object.name !== facts.currentRole && facts.roles.has(object.name)
        ? [object.name]
        : []
    ).toSorted(),
  };
}

async function readTarget(session: Session): Promise<GlobalsTarget> {
  const [self, objects, passwordsReadable, bootstrap] = await joinAll([
    session.queryOne<{ name: string; superuser: boolean }>(`
    SELECT rolname AS name, rolsuper AS superuser FROM pg_catalog.pg_roles WHERE rolname = current_user`),
    readGlobals(session),
    canReadPasswords(session),
    bootstrapRole(session),
  ]);
  const roles = new Map<string, RoleObject>();
  const memberships: MembershipObject[] = [];
  const commonSettings: Setting[] = [];
  const tablespaces = new Map<string, TablespaceObject>();
  for (const object of objects) {
    if (object.kind === "role") roles.set(object.name, object);
    else if (object.kind === "membership") memberships.push(object);
    else if (object.kind === "common-setting") commonSettings.push(object.setting);
    else if (object.kind === "tablespace") tablespaces.set(object.name, object);
  }
  return {
    majorVersion: session.majorVersion,
    currentRole: self.name,
    superuser: self.superuser,
    bootstrapRole: bootstrap,
    roles,
    passwordsReadable,
    memberships,
    commonSettings,
    tablespaces,
  };
}

/** Runs the steps of a plan and records their outcome. */
class GlobalsRun {
  readonly #session: Session;
  readonly adapted: Adaptation[] = [];
  readonly createdRoles: string[] = [];
  /** Objects that could not be created: steps that depend on them are skipped. */
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
 * The error with the step's name, without the server's CONTEXT and the statement, which could
 * contain a password verifier.
 */
function withoutStatement(error: unknown, { object, what }: GlobalStep): unknown {
  if (!(error instanceof ServerError)) return error;
  return new ServerError(
    { sqlState: error.sqlState, message: `${what}: ${redact(error.serverMessage.message)}` },
    { side: error.side ?? "target", object, remedy: error.remedy },
  );
}

/**
 * Makes the tool's role a member of the roles. From 16 on CREATEROLE gives only membership with
 * ADMIN, with which the role can grant itself INHERIT and SET.
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
  const existing = await session.query<{ name: string; able: boolean }>(
    `SELECT rolname AS name, ${able} AS able FROM pg_catalog.pg_roles`,
  );
  const copied = new Set(objects.flatMap((object) => object.kind === "role" ? [object.name] : []));
  for (const { name, able } of existing) {
    if (able || name === currentRole || !copied.has(name)) continue;
    if (roles.get(name)?.attributes.superuser) continue; // only superusers could join it
    const options = majorVersion >= 16 ? " WITH INHERIT TRUE, SET TRUE" : "";
    try {
      await session.execute(
        `GRANT ${quoteIdentifier(name)} TO ${quoteIdentifier(currentRole)}${options}`,
      );
      joined.push({ role: name, member: currentRole });
    } catch (error) {
      if (!isRefusal(error)) throw error;
      adapted.push({
        ...refusal(`role ${name}`, `objects that it owns will be owned by ${currentRole}`, error),
        ...(error.sqlState === SqlState.insufficientPrivilege
          ? {
            remedy: `have an administrator run: GRANT ${quoteIdentifier(name)} TO ${
              quoteIdentifier(currentRole)
            }`,
          }
          : {}),
      });
    }
  }
  return joined;
}
