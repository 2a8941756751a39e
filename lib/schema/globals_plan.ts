/**
 * The statements that bring globals to a target, with what to fall back on when it refuses one.
 * Pure.
 *
 * @module
 */
import { quoteIdentifier, quoteLiteral } from "../core/internal.ts";
import type { Adaptation } from "./adaptation.ts";
import type {
  DumpedRoleAttributes,
  GlobalObject,
  MembershipObject,
  ParameterGrantObject,
  RoleObject,
  Setting,
  TablespaceObject,
} from "./globals_model.ts";

/** What the plan depends on. */
export interface GlobalsTarget {
  /** Major version. */
  readonly majorVersion: number;
  /** The role we are connected as. */
  readonly currentRole: string;
  /** Whether it is a superuser. */
  readonly superuser: boolean;
  /** The role that initdb made. */
  readonly bootstrapRole: string;
  /** Roles that are there. */
  readonly roles: ReadonlyMap<string, ExistingRole>;
  /** Tablespaces that are there. */
  readonly tablespaces: ReadonlySet<string>;
}

/** What matters about a role that the target has already. */
export interface ExistingRole {
  /** Whether it is a superuser. */
  readonly superuser: boolean;
  /** Whether its password ends some day. */
  readonly expires: boolean;
}

/**
 * One thing to do. The attempts are tried in turn until one succeeds; when none does, the parts are
 * done one by one, and when there are none either, the object is reported as refused.
 */
export interface GlobalStep {
  /** For messages: `role bob`. */
  readonly object: string;
  /** For messages: `password`, `membership of alice`. */
  readonly what: string;
  /** Tried in turn. */
  readonly attempts: readonly GlobalAttempt[];
  /** Done one by one when no attempt succeeded. */
  readonly parts?: readonly GlobalStep[];
  /** The role that exists afterwards and did not before. */
  readonly creates?: string;
  /** What the user can do when it is refused. */
  readonly remedy?: string;
}

/** A statement, and what to report when it is the one that succeeds. */
export interface GlobalAttempt {
  /** May hold a password verifier: not for messages. */
  readonly sql: string;
  /** What is different then. */
  readonly adaptation?: string;
}

/** What {@linkcode planGlobals} gives. */
export interface GlobalsPlan {
  /** In the order in which to do them. */
  readonly steps: readonly GlobalStep[];
  /** What is not even tried. */
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

/** A new password for the role that we or the administrators use would lock them out. */
function protectedBecause(name: string, target: GlobalsTarget): string | undefined {
  if (name === target.currentRole) {
    return "left as it is on the target: the tool is connected as this role there";
  }
  return name === target.bootstrapRole
    ? "left as it is on the target: it is the bootstrap superuser there"
    : undefined;
}

const flags: readonly (readonly [keyof DumpedRoleAttributes, string])[] = [
  ["superuser", "SUPERUSER"],
  ["createRole", "CREATEROLE"],
  ["createDatabase", "CREATEDB"],
  ["replication", "REPLICATION"],
  ["bypassRls", "BYPASSRLS"],
];

/** Everything in one statement; where that is refused, everything on its own. */
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
    // what a role does not have by default need not be said of a new one
    ...changed.map((word) => part(word, [word])),
  ];
  if (existing !== undefined) {
    return {
      object,
      what: "attributes",
      attempts: [{
        sql: statement([whole]),
        ...(kept ? { adaptation: "keeps SUPERUSER, which it has on the target already" } : {}),
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

/** Who grants in somebody's name must have been granted the right to before. */
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
  // before 16 the grantor was a note without a meaning; a server that gives it one would refuse
  // most of them
  const meant = grantor !== undefined && (inherit !== undefined || !modern);
  const inName: readonly GlobalAttempt[] = meant
    ? [{ sql: `${grant} GRANTED BY ${quoteIdentifier(grantor)}` }]
    : [];
  const adaptation = meant && inherit !== undefined
    ? `granted by ${target.currentRole} instead of ${grantor}`
    : !modern && set === false
    ? "PostgreSQL knows no SET FALSE before 16: the member may SET ROLE"
    : undefined;
  return {
    object: `role ${member}`,
    what: `membership in ${role}`,
    attempts: [...inName, { sql: grant, ...(adaptation === undefined ? {} : { adaptation }) }],
    remedy: "grant it what stands for that on the target, if it needs it",
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
    "its tables go to the default tablespace; or make the folder and the tablespace on the target and start again",
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
    ...(majorVersion < 15 ? { remedy: "PostgreSQL has it from 15 on" } : {}),
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
