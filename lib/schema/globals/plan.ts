/**
 * Plans the statements that create globals on a target, with fallbacks for refused ones. Pure.
 *
 * @module
 */
import { quoteIdentifier, quoteLiteral } from "../../core/internal.ts";
import type { Adaptation } from "../apply/adaptation.ts";
import type {
  DumpedRoleAttributes,
  GlobalObject,
  MembershipObject,
  ParameterGrantObject,
  RoleObject,
  Setting,
  TablespaceObject,
} from "./model.ts";

/** What the plan depends on. */
export interface GlobalsTarget {
  /** Major version. */
  readonly majorVersion: number;
  /** The role of the session. */
  readonly currentRole: string;
  /** Whether it is a superuser. */
  readonly superuser: boolean;
  /** The role that initdb created. */
  readonly bootstrapRole: string;
  /** Existing roles. */
  readonly roles: ReadonlyMap<string, ExistingRole>;
  /** Existing tablespaces. */
  readonly tablespaces: ReadonlySet<string>;
}

/** A role that exists on the target. */
export interface ExistingRole {
  /** Whether it is a superuser. */
  readonly superuser: boolean;
  /** Whether its password expires. */
  readonly expires: boolean;
}

/**
 * One step. The attempts are tried in turn until one succeeds. When none does, the parts are run
 * one by one; without parts the object is reported as refused.
 */
export interface GlobalStep {
  /** For messages: `role bob`. */
  readonly object: string;
  /** For messages: `password`, `membership of alice`. */
  readonly what: string;
  /** Tried in turn. */
  readonly attempts: readonly GlobalAttempt[];
  /** Run one by one when no attempt succeeds. */
  readonly parts?: readonly GlobalStep[];
  /** The role that this step creates. */
  readonly creates?: string;
  /** What to do when it is refused. */
  readonly remedy?: string;
}

/** A statement, and what to report if it succeeds. */
export interface GlobalAttempt {
  /** May contain a password verifier: never part of messages. */
  readonly sql: string;
  /** What differs from the source. */
  readonly adaptation?: string;
}

/** What {@linkcode planGlobals} returns. */
export interface GlobalsPlan {
  /** In execution order. */
  readonly steps: readonly GlobalStep[];
  /** What is not attempted. */
  readonly notes: readonly Adaptation[];
}

/**
 * Plans all objects: roles with attributes, memberships, settings, tablespaces, privileges,
 * comments.
 */
export function planGlobals(objects: readonly GlobalObject[], target: GlobalsTarget): GlobalsPlan {
  const notes: Adaptation[] = [];
  const roles: RoleObject[] = [];
  for (const object of objects) {
    if (object.kind !== "role") continue;
    const why = protectedBecause(object.name, target);
    if (why === undefined) roles.push(object);
    else notes.push({ side: "target", object: `role ${object.name}`, message: why });
  }
  const memberships = sortMemberships(ofKind(objects, "membership"));
  return {
    steps: [
      ...roles.map((role) => roleStep(role, target)),
      ...memberships.map((membership) => membershipStep(membership, target)),
      ...roles.flatMap(settingSteps),
      ...ofKind(objects, "common-setting").map(({ setting }) =>
        settingStep("ALL", "all roles", setting)
      ),
      ...ofKind(objects, "tablespace").flatMap((tablespace) => tablespaceSteps(tablespace, target)),
      ...ofKind(objects, "parameter-grant").map((grant) => parameterStep(grant, target)),
      ...roles.flatMap(labelSteps),
    ],
    notes,
  };
}

function ofKind<Kind extends GlobalObject["kind"]>(
  objects: readonly GlobalObject[],
  kind: Kind,
): readonly Extract<GlobalObject, { kind: Kind }>[] {
  return objects.filter((object): object is Extract<GlobalObject, { kind: Kind }> =>
    object.kind === kind
  );
}

/** A new password could lock out the tool or the administrators. */
function protectedBecause(name: string, target: GlobalsTarget): string | undefined {
  if (name === target.currentRole) {
    return "unchanged on the target: the tool connects as this role";
  }
  return name === target.bootstrapRole
    ? "unchanged on the target: it is the bootstrap superuser there"
    : undefined;
}

const flags: readonly (readonly [keyof DumpedRoleAttributes, string])[] = [
  ["superuser", "SUPERUSER"],
  ["createRole", "CREATEROLE"],
  ["createDatabase", "CREATEDB"],
  ["replication", "REPLICATION"],
  ["bypassRls", "BYPASSRLS"],
];

/** All attributes in one statement; if that is refused, one by one. */
function roleStep(role: RoleObject, target: GlobalsTarget): GlobalStep {
  const { name, attributes, password } = role;
  const existing = target.roles.get(name);
  const object = `role ${name}`;
  const quoted = quoteIdentifier(name);
  const simple = [
    attributes.inherit ? "INHERIT" : "NOINHERIT",
    attributes.login ? "LOGIN" : "NOLOGIN",
    `CONNECTION LIMIT ${attributes.connectionLimit}`,
    ...(attributes.validUntil === undefined
      ? existing?.expires ? ["VALID UNTIL 'infinity'"] : []
      : [`VALID UNTIL ${quoteLiteral(attributes.validUntil)}`]),
  ];
  const verifier = password === undefined ? [] : [`PASSWORD ${quoteLiteral(password.reveal())}`];
  const kept = existing?.superuser === true && !attributes.superuser;
  const changed = flags.filter(([flag]) =>
    existing === undefined ? attributes[flag] : !(kept && flag === "superuser")
  ).map(([flag, word]) => attributes[flag] ? word : `NO${word}`);
  const statement = (words: readonly string[]) => `ALTER ROLE ${quoted} WITH ${words.join(" ")}`;
  const part = (what: string, words: readonly string[], remedy?: string): GlobalStep => ({
    object,
    what,
    attempts: [{ sql: statement(words) }],
    ...(remedy === undefined ? {} : { remedy }),
  });
  const whole = [...changed, ...simple, ...verifier].join(" ");
  const parts = [
    part("attributes", simple),
    ...verifier.map((words) =>
      part("password", [words], `set it on the target: ALTER ROLE ${quoted} PASSWORD …`)
    ),
    // a new role needs only the attributes that are not default
    ...changed.map((word) => part(word, [word])),
  ];
  if (existing !== undefined) {
    return {
      object,
      what: "attributes",
      attempts: [{
        sql: statement([whole]),
        ...(kept ? { adaptation: "keeps SUPERUSER, which it already has on the target" } : {}),
      }],
      parts,
    };
  }
  return {
    object,
    what: "role",
    creates: name,
    attempts: [{ sql: `CREATE ROLE ${quoted} WITH ${whole}` }],
    parts: [
      { object, what: "role", creates: name, attempts: [{ sql: `CREATE ROLE ${quoted}` }] },
      ...parts,
    ],
  };
}

/** A grantor must have ADMIN OPTION before granting. */
function sortMemberships(
  memberships: readonly MembershipObject[],
): readonly MembershipObject[] {
  const sorted: MembershipObject[] = [];
  const administrators = new Set<string>();
  let waiting = memberships;
  for (;;) {
    const ready = waiting.filter(({ role, grantor }) =>
      grantor === undefined || administrators.has(JSON.stringify([role, grantor]))
    );
    if (ready.length === 0) return [...sorted, ...waiting];
    for (const membership of ready) {
      sorted.push(membership);
      if (membership.admin) {
        administrators.add(JSON.stringify([membership.role, membership.member]));
      }
    }
    waiting = waiting.filter((membership) => !ready.includes(membership));
  }
}

function membershipStep(membership: MembershipObject, target: GlobalsTarget): GlobalStep {
  const { role, member, admin, inherit, set, grantor } = membership;
  const modern = target.majorVersion >= 16;
  const options = [
    ...(admin ? [modern ? "ADMIN TRUE" : "ADMIN OPTION"] : []),
    ...(modern && inherit !== undefined ? [`INHERIT ${inherit ? "TRUE" : "FALSE"}`] : []),
    ...(modern && set !== undefined ? [`SET ${set ? "TRUE" : "FALSE"}`] : []),
  ];
  const grant = `GRANT ${quoteIdentifier(role)} TO ${quoteIdentifier(member)}` +
    (options.length === 0 ? "" : ` WITH ${options.join(", ")}`);
  // before 16 the grantor had no meaning; servers that enforce it would refuse most of them
  const hasGrantor = grantor !== undefined && (inherit !== undefined || !modern);
  const asGrantor: readonly GlobalAttempt[] = hasGrantor
    ? [{ sql: `${grant} GRANTED BY ${quoteIdentifier(grantor)}` }]
    : [];
  const adaptation = hasGrantor && inherit !== undefined
    ? `granted by ${target.currentRole} instead of ${grantor}`
    : !modern && set === false
    ? "SET FALSE requires PostgreSQL 16: the member may SET ROLE"
    : undefined;
  return {
    object: `role ${member}`,
    what: `membership in ${role}`,
    attempts: [...asGrantor, { sql: grant, ...(adaptation === undefined ? {} : { adaptation }) }],
    remedy: "if it needs the membership, grant it the corresponding role on the target",
  };
}

function settingSteps({ name, settings }: RoleObject): readonly GlobalStep[] {
  return settings.map((setting) => settingStep(quoteIdentifier(name), `role ${name}`, setting));
}

function settingStep(role: string, object: string, { name, values }: Setting): GlobalStep {
  const value = values.map((each) => quoteLiteral(each).trim()).join(", ");
  return {
    object,
    what: `setting ${name}`,
    attempts: [{ sql: `ALTER ROLE ${role} SET ${quoteIdentifier(name)} TO ${value}` }],
  };
}

function tablespaceSteps(
  { name, owner, location, options, grants, comment }: TablespaceObject,
  target: GlobalsTarget,
): readonly GlobalStep[] {
  const object = `tablespace ${name}`;
  const quoted = quoteIdentifier(name);
  const step = (what: string, sql: string, remedy?: string): GlobalStep => ({
    object,
    what,
    attempts: [{ sql }],
    ...(remedy === undefined ? {} : { remedy }),
  });
  const create = step(
    "tablespace",
    `CREATE TABLESPACE ${quoted} OWNER ${quoteIdentifier(owner)} LOCATION ${
      quoteLiteral(location)
    }`,
    "its tables go to the default tablespace; to avoid that, create the directory and the tablespace on the target and run the command again",
  );
  return [
    ...(target.tablespaces.has(name)
      ? [step("owner", `ALTER TABLESPACE ${quoted} OWNER TO ${quoteIdentifier(owner)}`)]
      : [create]),
    ...(options.length === 0 ? [] : [
      step(
        "options",
        `ALTER TABLESPACE ${quoted} SET (${options.map(tablespaceOption).join(", ")})`,
      ),
    ]),
    ...grants.map(({ grantee, grantable }) =>
      step(
        `privilege of ${grantee ?? "PUBLIC"}`,
        `GRANT CREATE ON TABLESPACE ${quoted} TO ${
          grantee === undefined ? "PUBLIC" : quoteIdentifier(grantee)
        }` +
          (grantable ? " WITH GRANT OPTION" : ""),
      )
    ),
    ...(comment === undefined
      ? []
      : [step("comment", `COMMENT ON TABLESPACE ${quoted} IS ${quoteLiteral(comment)}`)]),
  ];
}

function tablespaceOption(option: string): string {
  const equals = option.indexOf("=");
  return `${quoteIdentifier(option.slice(0, equals))} = ${quoteLiteral(option.slice(equals + 1))}`;
}

function parameterStep(
  { parameter, privilege, grantee, grantable }: ParameterGrantObject,
  { majorVersion }: GlobalsTarget,
): GlobalStep {
  const to = grantee === undefined ? "PUBLIC" : quoteIdentifier(grantee);
  return {
    object: grantee === undefined ? "PUBLIC" : `role ${grantee}`,
    what: `privilege ${privilege} on parameter ${parameter}`,
    attempts: [{
      sql: `GRANT ${privilege} ON PARAMETER ${quoteIdentifier(parameter)} TO ${to}` +
        (grantable ? " WITH GRANT OPTION" : ""),
    }],
    ...(majorVersion < 15 ? { remedy: "privileges on parameters require PostgreSQL 15" } : {}),
  };
}

function labelSteps({ name, comment, securityLabels }: RoleObject): readonly GlobalStep[] {
  const object = `role ${name}`;
  const quoted = quoteIdentifier(name);
  return [
    ...(comment === undefined ? [] : [{
      object,
      what: "comment",
      attempts: [{ sql: `COMMENT ON ROLE ${quoted} IS ${quoteLiteral(comment)}` }],
    }]),
    ...securityLabels.map(({ provider, label }) => ({
      object,
      what: `security label of ${provider}`,
      attempts: [{
        sql: `SECURITY LABEL FOR ${quoteIdentifier(provider)} ON ROLE ${quoted} IS ${
          quoteLiteral(label)
        }`,
      }],
    })),
  ];
}
