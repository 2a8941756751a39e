/**
 * What a role that already exists on the target receives from the role of that name on the source.
 * It only gains: whatever it has on the target may be in use there by others. Pure.
 *
 * @module
 */
import { quoteLiteral } from "../../core/internal.ts";
import type { Adaptation } from "../apply/adaptation.ts";
import type { DumpedRoleAttributes, RoleObject, Setting } from "./model.ts";

/** What {@linkcode extendRole} returns. */
export interface RoleExtension {
  /** Attributes that it gains: `CREATEDB`. */
  readonly attributes: readonly string[];
  /** The role of the source without the password, settings, comment and labels that are not set. */
  readonly role: RoleObject;
  /** What it gains, and what it keeps although the source differs; undefined if they are equal. */
  readonly note: Adaptation | undefined;
}

/** A difference between two roles, resolved. */
interface Resolved {
  readonly gained: readonly string[];
  readonly kept: readonly string[];
}

const flags: readonly (readonly [keyof DumpedRoleAttributes, string])[] = [
  ["superuser", "SUPERUSER"],
  ["inherit", "INHERIT"],
  ["createRole", "CREATEROLE"],
  ["createDatabase", "CREATEDB"],
  ["login", "LOGIN"],
  ["replication", "REPLICATION"],
  ["bypassRls", "BYPASSRLS"],
];

/** Compares a role of the source with the one of that name on the target. */
export function extendRole(
  role: RoleObject,
  existing: RoleObject,
  { passwordsReadable }: { readonly passwordsReadable: boolean },
): RoleExtension {
  const attributes = [
    ...flags.map(([flag, word]) => resolveFlag(role.attributes[flag], existing, flag, word)),
    resolveLimit(role.attributes, existing.attributes),
    resolveExpiry(role.attributes, existing.attributes),
  ];
  const gained = attributes.flatMap((each) => each.gained);
  const setsPassword = role.password !== undefined && passwordsReadable &&
    existing.password === undefined;
  const isUnknown = role.password !== undefined && !passwordsReadable;
  const keepsPassword = role.password !== undefined && !isUnknown && !setsPassword &&
    role.password.reveal() !== existing.password?.reveal();
  const settings = extendSettings(role.settings, existing.settings);
  const labels = role.securityLabels.filter(({ provider }) =>
    !existing.securityLabels.some((each) => each.provider === provider)
  );
  const gains = [
    ...gained,
    ...(setsPassword ? ["the source's password"] : []),
    ...settings.added.map(({ name }) => `the setting ${name}`),
  ];
  const keeps = [
    ...attributes.flatMap((each) => each.kept),
    ...(keepsPassword ? ["its password"] : []),
    ...settings.kept.map((name) => `its setting ${name}`),
  ];
  const note = describeExtension(role.name, {
    gained: gains,
    kept: keeps,
    unknown: isUnknown ? ["its password"] : [],
  });
  return {
    attributes: gained,
    role: {
      ...role,
      password: setsPassword ? role.password : undefined,
      settings: settings.added,
      comment: existing.comment === undefined ? role.comment : undefined,
      securityLabels: labels,
    },
    note: note === undefined || !keepsPassword && !isUnknown ? note : {
      ...note,
      remedy:
        "if its clients use the source's password, set that on the target: ALTER ROLE … PASSWORD …",
    },
  };
}

/** Settings that are not set on the target, and the names of those with another value there. */
export function extendSettings(
  settings: readonly Setting[],
  existing: readonly Setting[],
): { readonly added: readonly Setting[]; readonly kept: readonly string[] } {
  const present = new Map(existing.map(({ name, values }) => [name, JSON.stringify(values)]));
  return {
    added: settings.filter(({ name }) => !present.has(name)),
    kept: settings.flatMap(({ name, values }) =>
      present.has(name) && present.get(name) !== JSON.stringify(values) ? [name] : []
    ),
  };
}

function describeExtension(
  name: string,
  { gained, kept, unknown }: Resolved & {
    /** What it keeps although the source may differ. */
    readonly unknown: readonly string[];
  },
): Adaptation | undefined {
  const parts = [
    ...(gained.length === 0 ? [] : [`gains ${gained.join(", ")}`]),
    ...(kept.length === 0 ? [] : [`keeps ${kept.join(", ")}, unlike on the source`]),
    ...(unknown.length === 0
      ? []
      : [`keeps ${unknown.join(", ")}, which cannot be compared with the source's`]),
  ];
  return parts.length === 0 ? undefined : {
    side: "target",
    object: `role ${name}`,
    message: `it already exists on the target: it ${parts.join(", and ")}`,
  };
}

function resolveFlag(
  wanted: unknown,
  existing: RoleObject,
  flag: keyof DumpedRoleAttributes,
  word: string,
): Resolved {
  const present = existing.attributes[flag];
  return {
    gained: wanted === true && present === false ? [word] : [],
    kept: wanted === false && present === true ? [word] : [],
  };
}

function resolveLimit(wanted: DumpedRoleAttributes, present: DumpedRoleAttributes): Resolved {
  const [to, from] = [wanted.connectionLimit, present.connectionLimit];
  const widens = from !== -1 && (to === -1 || to > from);
  return {
    gained: widens ? [`CONNECTION LIMIT ${to}`] : [],
    kept: widens || to === from ? [] : [`CONNECTION LIMIT ${from}`],
  };
}

function resolveExpiry(wanted: DumpedRoleAttributes, present: DumpedRoleAttributes): Resolved {
  const [to, from] = [wanted.validUntil ?? "infinity", present.validUntil ?? "infinity"];
  const extendsIt = from !== "infinity" &&
    (to === "infinity" || instantOf(to) > instantOf(from));
  return {
    gained: extendsIt ? [`VALID UNTIL ${quoteLiteral(to)}`] : [],
    kept: extendsIt || to === from || instantOf(to) === instantOf(from)
      ? []
      : [`VALID UNTIL ${quoteLiteral(from)}`],
  };
}

/** NaN, which is never later, for years that only PostgreSQL can represent. */
function instantOf(timestamp: string): number {
  return Date.parse(timestamp.replace(" ", "T").replace(/([+-]\d\d)$/, "$1:00"));
}
