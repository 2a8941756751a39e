/**
 * Compares everything of two databases but their rows.
 *
 * @module
 */
import { displayName, plural, showOpaque, tableKey } from "../../core/internal.ts";
import type { Session } from "../../postgres/internal.ts";
import { providerRole } from "../../schema/internal.ts";
import { diffStructure, type DoubtfulDefinition } from "./diff_structure.ts";
import { diffSequenceValues } from "./diff_sequences.ts";
import type { StructureComparison, StructureDifference, StructureSection } from "./difference.ts";
import type { NotChecked } from "../report/report.ts";
import type { SequenceState, Structure } from "./model.ts";
import { readSequenceState, readStructures } from "./read_structure.ts";
import { withReason } from "./reasons.ts";
import { scopeFilter, type StructureScope, withinScope } from "./scope.ts";
import { describeObject } from "./words.ts";

/** A session on each side, idle; their databases are compared. */
export interface StructureSessions {
  readonly source: Session;
  readonly target: Session;
}

/**
 * Compares schemas, tables, columns, indexes, constraints, triggers, functions, types, policies,
 * sequences and everything else that `docs/guides/verification.md` names, with owners, privileges
 * and comments. Nothing is written on either side.
 *
 * @throws ServerError when a side refuses to be read
 */
export async function compareStructures(
  { source, target }: StructureSessions,
  scope: StructureScope = {},
): Promise<StructureComparison> {
  const [one, other] = await readStructures({ source, target });
  // the source first: whatever the target has been given by then is not taken for behind
  const sequences = {
    source: await readSequenceState(source),
    target: await readSequenceState(target),
  };
  const isInScope = scopeFilter(scope);
  const [ours, theirs] = [withinScope(one, isInScope), withinScope(other, isInScope)];
  const diff = diffStructure(ours, theirs);
  const context = { source: ours, target: theirs, consequences: scope.consequences };
  const named = namedRoles(ours);
  const differences = [
    ...diff.found.map((found) => shown(withReason(found, context))),
    ...diffSequenceValues(ours, { ...sequences, awaitsCutover: scope.awaitsCutover ?? false }),
    ...missingRoles(named, theirs),
  ];
  const sections = new Map([...diff.compared, ["roles", named.size] as const]);
  return {
    sections: [...sections].map(([section, compared]) =>
      sectionOf(section, { compared, differences })
    ),
    notChecked: [
      ...diff.doubtful.map(gapOf),
      ...unreadableSequences(ours, { state: sequences.source, side: "source" }),
      ...unreadableSequences(theirs, { state: sequences.target, side: "target" }),
      ...neverCompared,
    ],
  };
}

/** With bytes that are no valid UTF-8 as people can read them. */
function shown(difference: StructureDifference): StructureDifference {
  return Object.fromEntries(
    Object.entries(difference).map((
      [property, value],
    ) => [property, typeof value === "string" ? showOpaque(value) : value]),
  ) as unknown as StructureDifference;
}

function sectionOf(
  section: string,
  { compared, differences }: {
    readonly compared: number;
    readonly differences: readonly StructureDifference[];
  },
): StructureSection {
  const ofSection = differences.filter((difference) => difference.section === section);
  const real = ofSection.filter(({ severity }) => severity === "difference");
  return {
    section,
    verdict: real.length > 0 ? "different" : "equal",
    compared,
    differences: real,
    notes: ofSection.filter(({ severity }) => severity === "note"),
  };
}

/** Asking a server for a plan of both would tell, and run the immutable functions in them. */
function gapOf({ source, property }: DoubtfulDefinition): NotChecked {
  return {
    what: `${property} of ${describeObject(source)}`,
    reason:
      "servers before 14 print it differently, and texts alone cannot tell whether it means the same",
    failed: false,
  };
}

/** The roles that objects belong to or grant something, with how many objects. */
function namedRoles({ objects }: Structure): ReadonlyMap<string, number> {
  const uses = new Map<string, number>();
  for (const { owner, grants } of objects.values()) {
    for (const name of new Set([owner, ...grants.map(({ grantee }) => grantee)])) {
      if (typeof name === "string") uses.set(name, (uses.get(name) ?? 0) + 1);
    }
  }
  return uses;
}

/** Those that the target does not have: told once each, with what it means. */
function missingRoles(
  named: ReadonlyMap<string, number>,
  target: Structure,
): readonly StructureDifference[] {
  const uses = [...named].filter(([name]) => !target.roles.has(name));
  return uses.sort(([a], [b]) => a < b ? -1 : 1).map(([name, count]) => {
    const provider = providerRole(name);
    return {
      severity: "note",
      section: "roles",
      object: `role ${displayName({ schema: "public", name })}`,
      name,
      change: "missing",
      message: `does not exist on the target; on the source ${
        plural(
          count,
          "object belongs to it or grants it something",
          "objects belong to it or grant it something",
        )
      }`,
      reason: provider === undefined
        ? name.startsWith("pg_")
          ? "it belongs to the source's version"
          : "roles belong to servers; the report of init says why it could not be made"
        : `it belongs to ${provider.provider}`,
    };
  });
}

function unreadableSequences(
  { objects }: Structure,
  { state, side }: { readonly state: SequenceState; readonly side: "source" | "target" },
): readonly NotChecked[] {
  return [...objects.values()].flatMap((object) =>
    object.kind === "sequence" &&
      state.unreadable.has(tableKey({ schema: object.schema ?? "", name: object.name }))
      ? [{
        what: `where ${describeObject(object)} stands`,
        reason: `our role may not read it on the ${side}`,
        failed: true,
      }]
      : []
  );
}

/** What no run compares. */
const neverCompared: readonly NotChecked[] = [
  {
    what: "publications, subscriptions, replication slots",
    reason: "they belong to a server's own replication and are not copied",
    failed: false,
  },
  {
    what: "attributes, passwords and memberships of roles, tablespaces",
    reason: "they belong to the server, not to the database",
    failed: false,
  },
  {
    what: "objects that extensions made",
    reason: "CREATE EXTENSION makes them; versions of extensions are compared",
    failed: false,
  },
  {
    what: "who has granted a privilege",
    reason: "a target's administrator grants in a name of its own; who has it is compared",
    failed: false,
  },
  {
    what: "planner statistics",
    reason: "each server gathers its own by ANALYZE",
    failed: false,
  },
];
