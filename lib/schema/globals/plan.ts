/**
 * Plans the statements that create globals on a target, with fallbacks for refused ones. Pure.
 *
 * @module
 */
import { quoteIdentifier, quoteLiteral } from "../../core/internal.ts";
import type { Adaptation } from "../apply/adaptation.ts";
import { extendRole, extendSettings, type RoleExtension } from "./extend_role.ts";
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
  readonly roles: ReadonlyMap<string, RoleObject>;
  /** Whether their passwords could be read. */
  readonly passwordsReadable: boolean;
  /** Existing memberships. */
  readonly memberships: readonly MembershipObject[];
  /** Existing settings of `ALTER ROLE ALL`. */
  readonly commonSettings: readonly Setting[];
  /** Existing tablespaces. */
  readonly tablespaces: ReadonlyMap<string, TablespaceObject>;
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
  /**
   * What roles that already exist gain, and what they and tablespaces keep although the source
   * differs.
   */
  readonly existing: readonly Adaptation[];
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
  const plans = roles.map((role): PlannedRole => {
    const existing = target.roles.get(role.name);
    return existing === undefined
      ? { role, steps: [createStep(role)], note: undefined }
      : extension(extendRole(role, existing, target));
  });
  const tablespaces = ofKind(objects, "tablespace");
  const common = extendSettings(
    ofKind(objects, "common-setting").map(({ setting }) => setting),
    target.commonSettings,
  );
  return {
    steps: [
      ...plans.flatMap(({ steps }) => steps),
      ...memberships.map((membership) => membershipStep(membership, target)),
      ...plans.flatMap(({ role }) => settingSteps(role)),
      ...common.added.map((setting) => settingStep("ALL", "all roles", setting)),
      ...tablespaces.filter(({ name }) => !target.tablespaces.has(name)).flatMap(tablespaceSteps),
      ...ofKind(objects, "parameter-grant").map((grant) => parameterStep(grant, target)),
      ...plans.flatMap(({ role }) => labelSteps(role)),
    ],
    notes,
    existing: [
      ...plans.flatMap(({ note }) => note === undefined ? [] : [note]),
      ...common.kept.map((name): Adaptation => ({
        side: "target",
        object: "all roles",
        message: `ALTER ROLE ALL SET ${name} has another value on the target, which is kept`,
      })),
      ...tablespaces.flatMap((tablespace) => keptTablespace(tablespace, target)),
    ],
  };
}

/** A role with the steps that create or extend it. */
interface PlannedRole {
  /** What is still to be set: settings, comment, labels. */
  readonly role: RoleObject;
  readonly steps: readonly GlobalStep[];
  readonly note: Adaptation | undefined;
}

/** All that it gains in one statement; if that is refused, one by one. */
function extension({ role, attributes, note }: RoleExtension): PlannedRole {
  const words = [...attributes, ...passwordWords(role)];
  if (words.length === 0) return { role, steps: [], note };
  const step: GlobalStep = {
    object: `role ${role.name}`,
    what: "attributes",
    attempts: [{ sql: alterRole(role.name, words) }],
    parts: attributeSteps(role, attributes.map((word) => [word, [word]])),
  };
  return { role, steps: [step], note };
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

const alterRole = (name: string, words: readonly string[]) =>
  `ALTER ROLE ${quoteIdentifier(name)} WITH ${words.join(" ")}`;

function passwordWords({ password }: RoleObject): readonly string[] {
  return password === undefined ? [] : [`PASSWORD ${quoteLiteral(password.reveal())}`];
}

/** A step for the password, and one for each of the others: what it is called, and its words. */
function attributeSteps(
  role: RoleObject,
  others: readonly (readonly [string, readonly string[]])[],
): readonly GlobalStep[] {
  const object = `role ${role.name}`;
  return [
    ...passwordWords(role).map((words) => ({
      object,
      what: "password",
      attempts: [{ sql: alterRole(role.name, [words]) }],
      remedy: `set it on the target: ALTER ROLE ${quoteIdentifier(role.name)} PASSWORD …`,
    })),
    ...others.map(([what, words]) => ({
      object,
      what,
      attempts: [{ sql: alterRole(role.name, words) }],
    })),
  ];
}

/** All attributes in one statement; if that is refused, one by one. */
function createStep(role: RoleObject): GlobalStep {
  const { name, attributes } = role;
  const object = `role ${name}`;
  const create = `CREATE ROLE ${quoteIdentifier(name)}`;
  const simple = [
    attributes.inherit ? "INHERIT" : "NOINHERIT",
    attributes.login ? "LOGIN" : "NOLOGIN",
    `CONNECTION LIMIT ${attributes.connectionLimit}`,
    ...(attributes.validUntil === undefined
      ? []
      : [`VALID UNTIL ${quoteLiteral(attributes.validUntil)}`]),
  ];
  const special = flags.flatMap(([flag, word]) => attributes[flag] ? [word] : []);
  const basic = [...simple, ...passwordWords(role)];
  return {
    object,
    what: "role",
    creates: name,
    attempts: [{ sql: `${create} WITH ${[...special, ...basic].join(" ")}` }],
    parts: [
      {
        object,
        what: "role",
        creates: name,
        // with its password from the start: the role of an interrupted run keeps what it has
        attempts: [{ sql: `${create} WITH ${basic.join(" ")}` }, { sql: create }],
      },
      ...attributeSteps(role, [
        ["attributes", simple],
        ...special.map((word) => [word, [word]] as const),
      ]),
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
  const { role, member, admin, grantor } = membership;
  const modern = target.majorVersion >= 16;
  // an existing membership keeps what it allows: an option that is not named is not changed
  const present = target.memberships.filter((each) => each.role === role && each.member === member);
  const inherit = keepOption(membership.inherit, present.some((each) => each.inherit));
  const set = keepOption(membership.set, present.some((each) => each.set));
  const options = [
    ...(admin ? [modern ? "ADMIN TRUE" : "ADMIN OPTION"] : []),
    ...(modern && inherit !== undefined ? [`INHERIT ${inherit ? "TRUE" : "FALSE"}`] : []),
    ...(modern && set !== undefined ? [`SET ${set ? "TRUE" : "FALSE"}`] : []),
  ];
  const grant = `GRANT ${quoteIdentifier(role)} TO ${quoteIdentifier(member)}` +
    (options.length === 0 ? "" : ` WITH ${options.join(", ")}`);
  // before 16 the grantor had no meaning; servers that enforce it would refuse most of them
  const hasGrantor = grantor !== undefined && (membership.inherit !== undefined || !modern);
  const asGrantor: readonly GlobalAttempt[] = hasGrantor
    ? [{ sql: `${grant} GRANTED BY ${quoteIdentifier(grantor)}` }]
    : [];
  const adaptation = hasGrantor && membership.inherit !== undefined
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

function keepOption(wanted: boolean | undefined, present: boolean): boolean | undefined {
  return present && wanted === false ? undefined : wanted;
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

/** An existing tablespace is left as it is: it may be in use by other databases. */
function keptTablespace(
  tablespace: TablespaceObject,
  target: GlobalsTarget,
): readonly Adaptation[] {
  const existing = target.tablespaces.get(tablespace.name);
  if (existing === undefined) return [];
  const properties = [
    ["owner", (each: TablespaceObject) => each.owner],
    ["options", (each: TablespaceObject) => each.options.toSorted()],
    [
      "privileges",
      (each: TablespaceObject) => each.grants.map((grant) => JSON.stringify(grant)).toSorted(),
    ],
    ["comment", (each: TablespaceObject) => each.comment ?? null],
  ] as const;
  const kept = properties.filter(([, read]) =>
    JSON.stringify(read(tablespace)) !== JSON.stringify(read(existing))
  );
  return kept.length === 0 ? [] : [{
    side: "target",
    object: `tablespace ${tablespace.name}`,
    message: `it already exists on the target: it keeps its ${
      kept.map(([name]) => name).join(", ")
    }, unlike on the source`,
  }];
}

function tablespaceSteps(
  { name, owner, location, options, grants, comment }: TablespaceObject,
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
    create,
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
