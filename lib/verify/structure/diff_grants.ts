/**
 * Compares privileges. Pure.
 *
 * Grantors are not compared, since managed servers grant under a different role.
 *
 * @module
 */
import { displayName } from "../../core/internal.ts";
import type { StructureDifference } from "./difference.ts";
import { differenceOf, type FoundDifference, type ObjectPair } from "./found.ts";
import type { Grant } from "./model.ts";

/** One difference per grantee whose privileges differ. */
export function diffGrants(
  pair: ObjectPair,
  versions: { readonly source: number; readonly target: number },
): readonly FoundDifference[] {
  const known = Math.min(versions.source, versions.target);
  const [one, other] = [byGrantee(pair.source.grants, known), byGrantee(pair.target.grants, known)];
  return [...new Set([...one.keys(), ...other.keys()])].flatMap((grantee) => {
    const [onSource, onTarget] = [one.get(grantee) ?? [], other.get(grantee) ?? []];
    const missing = onSource.filter((privilege) => !onTarget.includes(privilege));
    const extra = onTarget.filter((privilege) => !onSource.includes(privilege));
    if (missing.length === 0 && extra.length === 0) return [];
    return [{ ...pair, difference: grantDifference(pair, { grantee, missing, extra }) }];
  });
}

function grantDifference(
  { source: object }: ObjectPair,
  { grantee, missing, extra }: {
    readonly grantee: Grant["grantee"];
    readonly missing: readonly string[];
    readonly extra: readonly string[];
  },
): StructureDifference {
  const words = [
    ...missing.length === 0 ? [] : [`lacks ${missing.join(", ")} on the target`],
    ...extra.length === 0 ? [] : [`has ${extra.join(", ")} only on the target`],
  ];
  return differenceOf(object, {
    change: "changed",
    property: `privileges of ${describeGrantee(grantee)}`,
    message: `${describeGrantee(grantee)} ${words.join(" and ")}`,
    ...(missing.length === 0 ? {} : { source: missing.join(", ") }),
    ...(extra.length === 0 ? {} : { target: extra.join(", ") }),
  });
}

function describeGrantee(grantee: Grant["grantee"]): string {
  if (grantee === null) return "PUBLIC";
  return grantee === true ? "the owner" : displayName({ schema: "public", name: grantee });
}

/** The grantee that a difference concerns; undefined if it does not concern privileges. */
export function granteeOf(
  { property = "" }: StructureDifference,
  { source, target }: Partial<ObjectPair>,
): Grant["grantee"] | undefined {
  const all = [...source?.grants ?? [], ...target?.grants ?? []];
  return all.find(({ grantee }) => property === `privileges of ${describeGrantee(grantee)}`)
    ?.grantee;
}

function byGrantee(
  grants: readonly Grant[],
  majorVersion: number,
): ReadonlyMap<Grant["grantee"], readonly string[]> {
  const map = new Map<Grant["grantee"], string[]>();
  for (const { grantee, privilege } of grants) {
    // new in 17, where ALL includes it
    if (majorVersion < 17 && privilege.startsWith("MAINTAIN")) continue;
    const privileges = map.get(grantee);
    if (privileges === undefined) map.set(grantee, [privilege]);
    else if (!privileges.includes(privilege)) privileges.push(privilege);
  }
  return map;
}
