/**
 * Compares everything in two databases except rows.
 *
 * @module
 */
import { displayName, plural, showOpaque, type Side, tableKey } from "../../core/internal.ts";
import type { Session } from "../../postgres/internal.ts";
import { providerRole } from "../../schema/globals/provider_roles.ts";
import { diffStructure, type DoubtfulDefinition } from "./diff_structure.ts";
import { diffSequenceValues } from "./diff_sequences.ts";
import type { StructureComparison, StructureDifference, StructureSection } from "./difference.ts";
import type { NotChecked } from "../report/report.ts";
import type { SequenceState, Structure } from "./model.ts";
import { readSequenceState, readStructures } from "./read_structure.ts";
import { withReason } from "./reasons.ts";
import { scopeFilter, type StructureScope, withinScope } from "./scope.ts";
import { describeObject } from "./words.ts";

/** An idle session on each side, connected to the databases to compare. */
export interface StructureSessions {
  /** The source. */
  readonly source: Session;
  /** The target. */
  readonly target: Session;
}

/**
 * Compares schemas, tables, columns, indexes, constraints, triggers, functions, types, policies,
 * sequences and everything else that `docs/guides/verification.md` names, with owners, privileges
 * and comments. Nothing is written on either side.
 *
 * @throws ServerError when a server rejects a query
 */
export async function compareStructures(
  { source, target }: StructureSessions,
  scope: StructureScope = {},
): Promise<StructureComparison> {
  const [one, other] = await readStructures({ source, target });
  // source first: the target may then be ahead, which is fine, but not falsely behind
  const sequences = {
    source: await readSequenceState(source),
    target: await readSequenceState(target),
  };
  const isInScope = scopeFilter(scope);
  const onSource = withinScope(one, isInScope);
  const onTarget = withinScope(other, isInScope);
  const diff = diffStructure(onSource, onTarget);
  const context = {
    source: onSource,
    target: onTarget,
    consequences: scope.consequences,
    closedSides: scope.closedSides,
  };
  const named = namedRoles(onSource);
  const differences = [
    ...diff.found.map((found) => shown(withReason(found, context))),
    ...diffSequenceValues(onSource, { ...sequences, awaitsCutover: scope.awaitsCutover ?? false }),
    ...missingRoles(named, onTarget),
  ];
  const sections = new Map([...diff.compared, ["roles", named.size] as const]);
  return {
    sections: [...sections].map(([section, compared]) =>
      sectionOf(section, { compared, differences })
    ),
    notChecked: [
      ...diff.doubtful.map(gapOf),
      ...unreadableSequences(onSource, { state: sequences.source, side: "source" }),
      ...unreadableSequences(onTarget, { state: sequences.target, side: "target" }),
      ...neverCompared,
    ],
  };
}

/** Makes bytes that are not valid UTF-8 readable. */
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

/**
 * A plan of both expressions would decide, but planning would run the immutable functions in them.
 */
function gapOf({ source, property }: DoubtfulDefinition): NotChecked {
  return {
    what: `${property} of ${describeObject(source)}`,
    reason: "servers before 14 print it differently, so the two texts cannot be compared reliably",
    failed: false,
  };
}

/** The roles that own objects or have privileges on them, with the number of objects. */
function namedRoles({ objects }: Structure): ReadonlyMap<string, number> {
  const uses = new Map<string, number>();
  for (const { owner, grants } of objects.values()) {
    for (const name of new Set([owner, ...grants.map(({ grantee }) => grantee)])) {
      if (typeof name === "string") uses.set(name, (uses.get(name) ?? 0) + 1);
    }
  }
  return uses;
}

/** The roles missing on the target, one note each. */
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
          "object refers to it as owner or grantee",
          "objects refer to it as owner or grantee",
        )
      }`,
      reason: provider === undefined
        ? name.startsWith("pg_")
          ? "it is a predefined role of the source's version"
          : "roles belong to the server; the report of init says why it was not created"
        : `it belongs to ${provider.provider}`,
    };
  });
}

function unreadableSequences(
  { objects }: Structure,
  { state, side }: { readonly state: SequenceState; readonly side: Side },
): readonly NotChecked[] {
  return [...objects.values()].flatMap((object) =>
    object.kind === "sequence" &&
      state.unreadable.has(tableKey({ schema: object.schema ?? "", name: object.name }))
      ? [{
        what: `value of ${describeObject(object)}`,
        reason: `permission denied on the ${side}`,
        failed: true,
      }]
      : []
  );
}

/** Never compared. */
const neverCompared: readonly NotChecked[] = [
  {
    what: "publications, subscriptions, replication slots",
    reason: "they belong to each server's own replication and are not copied",
    failed: false,
  },
  {
    what: "attributes, passwords and memberships of roles, tablespaces",
    reason: "they belong to the server, not to the database",
    failed: false,
  },
  {
    what: "members of extensions",
    reason: "CREATE EXTENSION creates them; the versions of extensions are compared",
    failed: false,
  },
  {
    what: "grantors of privileges",
    reason: "managed servers grant under a different role; the grantees are compared",
    failed: false,
  },
  {
    what: "values of planner statistics",
    reason: "each server collects its own with ANALYZE; only that they exist is checked",
    failed: false,
  },
];
