/**
 * Determines which types have the same binary COPY format on every server. Pure.
 *
 * @module
 */

/** The composition of a type. */
export interface TypeFacts {
  readonly name: string;
  /** `pg_type.typtype`. */
  readonly kind: string;
  readonly isArray: boolean;
  /** Whether it has send and receive functions. */
  readonly hasBinaryForm: boolean;
  /**
   * OIDs of its parts: base type of a domain, element type of an array, subtype of a range,
   * attribute types of a composite.
   */
  readonly parts: readonly number[];
}

/** OIDs below this are assigned manually and equal in all versions. */
const firstGeneratedOid = 10_000;

/** Built-in types whose binary form is an OID, which differs between servers. */
const referenceTypes: ReadonlySet<string> = new Set([
  "regclass",
  "regcollation",
  "regconfig",
  "regdatabase",
  "regdictionary",
  "regnamespace",
  "regoper",
  "regoperator",
  "regproc",
  "regprocedure",
  "regrole",
  "regtype",
]);

/**
 * Whether a type's binary form does not depend on the server: it is built in, or composed of such
 * types without containing other OIDs.
 *
 * Arrays and composites contain the OIDs of their parts, which must therefore be built in; domains
 * and ranges contain none. An enum is sent as its label. Types of extensions may change their form
 * between versions and are not portable.
 */
export function hasPortableBinaryForm(
  oid: number,
  types: ReadonlyMap<number, TypeFacts>,
): boolean {
  const type = types.get(oid);
  if (type === undefined || !type.hasBinaryForm) return false;
  const [part] = type.parts;
  if (type.isArray) return part !== undefined && isPortableBuiltIn(part, types);
  switch (type.kind) {
    case "d":
    case "r":
      return isPortableBuiltIn(oid, types) ||
        part !== undefined && hasPortableBinaryForm(part, types);
    case "c":
      return type.parts.every((attribute) => isPortableBuiltIn(attribute, types));
    case "e":
      return true;
    default:
      return isPortableBuiltIn(oid, types);
  }
}

function isPortableBuiltIn(oid: number, types: ReadonlyMap<number, TypeFacts>): boolean {
  const type = types.get(oid);
  if (type === undefined || oid >= firstGeneratedOid || !type.hasBinaryForm) return false;
  const [element] = type.parts;
  if (type.isArray) return element !== undefined && isPortableBuiltIn(element, types);
  return !referenceTypes.has(type.name);
}
