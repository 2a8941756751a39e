/**
 * Types of published columns that DDL has changed on one side: a value that the target's type does
 * not accept stops replication.
 *
 * @module
 */
import {
  displayName,
  quoteIdentifier,
  quoteLiteral,
  quoteQualified,
  type TableName,
} from "../../core/internal.ts";
import type { Session } from "../../postgres/internal.ts";
import { type Drift, forwardSides, type StreamSides } from "./drift.ts";

/** A user-defined type, and the columns that use it. */
export interface ReplicatedTypeShape extends TableName {
  readonly kind: "enum" | "domain" | "composite" | "other";
  /** Labels of an enum, in order. */
  readonly labels: readonly string[];
  /** Constraints of a domain: its checks by name, and `NOT NULL`. */
  readonly checks: readonly { readonly name: string; readonly definition: string }[];
  /** Attributes of a composite type. */
  readonly attributes: readonly { readonly name: string; readonly type: string }[];
  /** Columns whose values may contain a value of the type. */
  readonly usedBy: readonly (TableName & { readonly column: string })[];
}

const statement = `
  WITH RECURSIVE within (relation, attribute, type) AS (
    SELECT a.attrelid, a.attnum, a.atttypid
      FROM pg_catalog.pg_attribute AS a
      JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid
      JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
     WHERE c.relkind = 'r' AND c.relpersistence = 'p' AND a.attnum > 0 AND NOT a.attisdropped
       AND a.atttypid >= 16384 AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    UNION
    SELECT w.relation, w.attribute, part.type
      FROM within AS w
      JOIN pg_catalog.pg_type AS t ON t.oid = w.type
     CROSS JOIN LATERAL (
       SELECT t.typbasetype AS type WHERE t.typtype = 'd'
       UNION ALL
       SELECT t.typelem WHERE t.typcategory = 'A' AND t.typelem <> 0
       UNION ALL
       SELECT r.rngsubtype FROM pg_catalog.pg_range AS r WHERE r.rngtypid = t.oid
       UNION ALL
       SELECT a.atttypid FROM pg_catalog.pg_attribute AS a
        WHERE t.typtype = 'c' AND a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
     ) AS part
     WHERE part.type >= 16384
  ), used AS (
    SELECT w.type, pg_catalog.json_agg(pg_catalog.json_build_object(
             'schema', n.nspname, 'name', c.relname, 'column', a.attname)
             ORDER BY n.nspname COLLATE pg_catalog."C", c.relname COLLATE pg_catalog."C", a.attnum) AS by
      FROM within AS w
      JOIN pg_catalog.pg_class AS c ON c.oid = w.relation
      JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
      JOIN pg_catalog.pg_attribute AS a ON a.attrelid = w.relation AND a.attnum = w.attribute
     GROUP BY w.type
  )
  SELECT n.nspname AS schema, t.typname AS name,
         CASE t.typtype WHEN 'e' THEN 'enum' WHEN 'd' THEN 'domain' WHEN 'c' THEN 'composite'
                        ELSE 'other' END AS kind,
         (SELECT coalesce(pg_catalog.json_agg(e.enumlabel ORDER BY e.enumsortorder), '[]')
            FROM pg_catalog.pg_enum AS e WHERE e.enumtypid = t.oid) AS labels,
         (SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_object('name', k.name, 'definition', k.definition)), '[]')
            FROM (SELECT k.conname AS name, pg_catalog.pg_get_constraintdef(k.oid) AS definition
                    FROM pg_catalog.pg_constraint AS k
                   WHERE k.contypid = t.oid AND k.contype = 'c'
                   UNION ALL
                  SELECT 'NOT NULL', 'NOT NULL' WHERE t.typtype = 'd' AND t.typnotnull) AS k) AS checks,
         (SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_object(
                   'name', a.attname, 'type', pg_catalog.format_type(a.atttypid, a.atttypmod)) ORDER BY a.attnum), '[]')
            FROM pg_catalog.pg_attribute AS a
           WHERE t.typtype = 'c' AND a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped) AS attributes,
         used.by AS used_by
    FROM used
    JOIN pg_catalog.pg_type AS t ON t.oid = used.type
    JOIN pg_catalog.pg_namespace AS n ON n.oid = t.typnamespace
   WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_type AS e WHERE e.typarray = t.oid)
     AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d
                      WHERE d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass
                        AND d.objid = t.oid AND d.deptype = 'e')
     AND NOT EXISTS (SELECT FROM pg_catalog.pg_class AS c WHERE c.oid = t.typrelid AND c.relkind <> 'c')
   ORDER BY n.nspname COLLATE pg_catalog."C", t.typname COLLATE pg_catalog."C"`;

type TypeRow = Omit<ReplicatedTypeShape, "usedBy"> & {
  readonly used_by: ReplicatedTypeShape["usedBy"];
};

/**
 * Reads the user-defined types that columns of the session's database use, also within arrays,
 * domains, composites and ranges.
 */
export async function readTypes(session: Session): Promise<readonly ReplicatedTypeShape[]> {
  const rows = await session.query<TypeRow>(statement);
  return rows.map(({ used_by, ...type }) => ({ ...type, usedBy: used_by }));
}

const typeKey = ({ schema, name }: TableName) => JSON.stringify([schema, name]);

/** Compares the types that published tables use on the source. */
export function compareTypes(
  { source, target }: {
    readonly source: readonly ReplicatedTypeShape[];
    readonly target: readonly ReplicatedTypeShape[];
  },
  { isPublished, sides = forwardSides }: {
    readonly isPublished: (table: TableName) => boolean;
    /** What `source` and `target` are called. */
    readonly sides?: StreamSides;
  },
): readonly Drift[] {
  const onTarget = new Map(target.map((type) => [typeKey(type), type]));
  return source.flatMap((type) => {
    const user = type.usedBy.find(isPublished);
    const other = onTarget.get(typeKey(type));
    // a type that the target's columns do not use shows as a difference of the columns
    if (user === undefined || other === undefined || other.kind !== type.kind) return [];
    const drift = (
      kind: Drift["kind"],
      severity: Drift["severity"],
      message: string,
      remedy: string,
    ): Drift => ({
      kind,
      schema: user.schema,
      name: user.name,
      column: user.column,
      severity,
      message: `${displayName(user)}.${user.column}: ${message}`,
      remedy: `on the ${sides.to}: ${remedy}`,
    });
    return [
      ...compareLabels(type, other, sides).map(({ reason, statement }) =>
        drift(
          "enum-label",
          "problem",
          `${reason}: the next row with it stops replication`,
          statement,
        )
      ),
      ...compareChecks(type, other, sides).map(({ reason, statement, stops }) =>
        drift("domain-check", stops ? "problem" : "warning", reason, statement)
      ),
      ...compareAttributes(type, other, sides).map(({ reason, statement }) =>
        drift(
          "type-attribute",
          "problem",
          `${reason}: the next value stops replication`,
          statement,
        )
      ),
    ];
  });
}

/** A difference between the types, with the statement that removes it on the target. */
export interface TypeDifference {
  readonly reason: string;
  readonly statement: string;
}

/** Labels that the target lacks, with the statements that add them in order, or rename others. */
export function compareLabels(
  source: ReplicatedTypeShape,
  target: ReplicatedTypeShape,
  { from, to }: StreamSides = forwardSides,
): readonly (TypeDifference & { readonly label: string })[] {
  const alter = `ALTER TYPE ${quoteQualified(source.schema, source.name)}`;
  const quote = (label: string) => quoteLiteral(label).trim();
  return source.labels.flatMap((label, at) => {
    if (target.labels.includes(label)) return [];
    const before = source.labels[at - 1];
    const next = source.labels.slice(at + 1).find((each) => target.labels.includes(each));
    const place = before !== undefined
      ? ` AFTER ${quote(before)}`
      : next !== undefined
      ? ` BEFORE ${quote(next)}`
      : "";
    const add = `${alter} ADD VALUE ${quote(label)}${place};`;
    // at its position the target has a label that the source lacks
    const other = target.labels[at];
    const isRenamed = other !== undefined && !source.labels.includes(other);
    return [{
      label,
      reason: `the ${to}'s type ${displayName(source)} lacks the label '${label}'`,
      statement: isRenamed
        ? `${alter} RENAME VALUE ${quote(other)} TO ${
          quote(label)
        }; if the ${from} has renamed it, otherwise ${add}`
        : add,
    }];
  });
}

function compareChecks(
  source: ReplicatedTypeShape,
  target: ReplicatedTypeShape,
  { from, to }: StreamSides,
): readonly (TypeDifference & { readonly stops: boolean })[] {
  const name = displayName(source);
  const alter = `ALTER DOMAIN ${quoteQualified(source.schema, source.name)}`;
  const onSource = new Set(source.checks.map((check) => check.name));
  const onTarget = new Set(target.checks.map((check) => check.name));
  return [
    ...target.checks.filter((check) => !onSource.has(check.name)).map((
      { name: check, definition },
    ) => ({
      reason:
        `the ${to}'s domain ${name} has a constraint that the ${from} does not have, ${check}: ` +
        "a value that violates it stops replication",
      statement: definition === "NOT NULL"
        ? `${alter} DROP NOT NULL;`
        : `${alter} DROP CONSTRAINT ${quoteIdentifier(check)};`,
      stops: true,
    })),
    ...source.checks.filter((check) => !onTarget.has(check.name)).map((
      { name: check, definition },
    ) => ({
      reason: `the ${to}'s domain ${name} lacks the constraint ${check}`,
      statement: definition === "NOT NULL"
        ? `${alter} SET NOT NULL;`
        : `${alter} ADD CONSTRAINT ${quoteIdentifier(check)} ${definition};`,
      stops: false,
    })),
  ];
}

/** Attributes of a composite type that differ: every value contains all of them. */
export function compareAttributes(
  source: ReplicatedTypeShape,
  target: ReplicatedTypeShape,
  { from, to }: StreamSides = forwardSides,
): readonly TypeDifference[] {
  const name = displayName(source);
  const alter = `ALTER TYPE ${quoteQualified(source.schema, source.name)}`;
  const onTarget = new Map(target.attributes.map((attribute) => [attribute.name, attribute.type]));
  const differences: TypeDifference[] = source.attributes.flatMap(({ name: attribute, type }) => {
    const other = onTarget.get(attribute);
    if (other === type) return [];
    return [
      other === undefined
        ? {
          reason: `the ${to}'s type ${name} lacks the attribute ${attribute}`,
          statement: `${alter} ADD ATTRIBUTE ${quoteIdentifier(attribute)} ${type};`,
        }
        : {
          reason:
            `attribute ${attribute} of the type ${name} is ${type} on the ${from} and ${other} on the ${to}`,
          statement: `${alter} ALTER ATTRIBUTE ${quoteIdentifier(attribute)} TYPE ${type};`,
        },
    ];
  });
  const extra = target.attributes.filter(({ name: attribute }) =>
    !source.attributes.some((each) => each.name === attribute)
  );
  return [
    ...differences,
    ...extra.map(({ name: attribute }) => ({
      reason:
        `the ${to}'s type ${name} has the attribute ${attribute}, which the ${from} does not have`,
      statement: `${alter} DROP ATTRIBUTE ${quoteIdentifier(attribute)};`,
    })),
  ];
}
