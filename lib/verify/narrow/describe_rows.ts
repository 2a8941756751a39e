/**
 * Describes differing rows with their values.
 *
 * @module
 */
import { showOpaque, type Side } from "../../core/internal.ts";
import { rowHash, valueDigest, valueText } from "../scan/digest.ts";
import type { Suspect } from "./find_differences.ts";
import type { ComparedColumn } from "../plan/columns.ts";
import type { Comparison } from "../plan/plan_comparisons.ts";
import type { DifferingColumn, DigestMethod, RowDifference } from "../report/report.ts";
import { keyCondition, queryRows } from "../scan/row_images.ts";
import { fromClause } from "../scan/scan.ts";
import { both, type SessionPair } from "../scan/session_pair.ts";

/** Options of {@linkcode describeRows}. */
export interface DescribeOptions {
  readonly comparison: Comparison;
  readonly method: DigestMethod;
  readonly suspects: readonly Suspect[];
  readonly showValues: boolean;
}

/** Longer values are truncated to this many characters. */
const maxShownLength = 300;

/** A row's values by column: a digest, and the text that may be shown. */
interface Values {
  readonly digests: readonly (string | null)[];
  readonly texts: readonly (string | null)[];
}

type ValuesRow = Values & { readonly id: string };

/** Describes rows, omitting those that have become equal in the meantime. */
export async function describeRows(
  pair: SessionPair,
  options: DescribeOptions,
): Promise<readonly RowDifference[]> {
  const { suspects } = options;
  if (suspects.length === 0) return [];
  const [source, target] = await both((side) => readValues(pair, side, options));
  return suspects.flatMap((suspect) =>
    describeRow(options, suspect, {
      source: source.get(suspect.id),
      target: target.get(suspect.id),
    }) ??
      []
  );
}

function describeRow(
  { comparison, showValues }: DescribeOptions,
  suspect: Suspect,
  { source, target }: { readonly source: Values | undefined; readonly target: Values | undefined },
): RowDifference | undefined {
  const rows = { source: suspect.source?.rows ?? 0, target: suspect.target?.rows ?? 0 };
  const { columns, key = [] } = comparison;
  const texts = (suspect.source ?? suspect.target)?.key ?? [];
  const identity = key.map(({ name }, index) => ({
    column: name,
    ...(showValues ? { value: shown(texts[index]) } : {}),
  }));
  if (rows.source === rows.target && rows.source === 1) {
    const changed = columns.flatMap((column, index): DifferingColumn[] =>
      source?.digests[index] === target?.digests[index]
        ? []
        : [shownColumn(column, index, { source, target, showValues })]
    );
    if (changed.length === 0) return undefined;
    return { kind: "different", key: identity, columns: changed };
  }
  const kind = rows.source === rows.target
    ? "different"
    : rows.source > rows.target
    ? "missing"
    : "extra";
  const values = kind === "missing" ? { source } : { target };
  return {
    kind,
    key: identity,
    columns: columns.flatMap((column, index) =>
      key.includes(column) || !showValues ? [] : [
        shownColumn(column, index, {
          source: undefined,
          target: undefined,
          ...values,
          showValues,
        }),
      ]
    ),
    ...(rows.source + rows.target > 1
      ? { sourceCount: rows.source, targetCount: rows.target }
      : {}),
  };
}

function shownColumn(
  { name }: ComparedColumn,
  index: number,
  { source, target, showValues }: {
    readonly source: Values | undefined;
    readonly target: Values | undefined;
    readonly showValues: boolean;
  },
): DifferingColumn {
  if (!showValues) return { column: name };
  return {
    column: name,
    ...(source === undefined ? {} : { source: shown(source.texts[index]) }),
    ...(target === undefined ? {} : { target: shown(target.texts[index]) }),
  };
}

function shown(text: string | null | undefined): string | null {
  return text === null || text === undefined ? null : showOpaque(text);
}

async function readValues(
  pair: SessionPair,
  side: Side,
  { comparison, method, suspects, showValues }: DescribeOptions,
): Promise<ReadonlyMap<string, Values>> {
  const { columns, key } = comparison;
  const ids = suspects.map(({ id }) => id);
  const hash = rowHash(columns, method);
  const id = key === undefined
    ? `pg_catalog.format('%s', ${hash})`
    : `ARRAY[${key.map((column) => valueText(column)).join(", ")}]::pg_catalog.text[]`;
  const condition = key === undefined
    ? `${hash} IN (${ids.join(", ")})`
    : keyCondition(comparison, ids);
  const list = (items: readonly string[]) =>
    `pg_catalog.to_json(ARRAY[${items.join(", ")}]::pg_catalog.text[])`;
  const rows = await queryRows<ValuesRow & { readonly key: unknown }>(
    pair[side],
    comparison,
    `
    SELECT ${key === undefined ? "DISTINCT ON (1) " : ""}${
      key === undefined ? id : `pg_catalog.to_json(${id})`
    } AS key,
           ${list(columns.map(valueDigest))} AS digests,
           ${list(showValues ? columns.map(shownText) : [])} AS texts
      FROM ${fromClause(comparison, side)}
     WHERE ${condition}`,
  );
  return new Map(rows.map((row) => [
    typeof row.key === "string" ? row.key : JSON.stringify(row.key),
    row,
  ]));
}

/** Adds only ASCII, which every server encoding contains. */
function shownText(column: ComparedColumn): string {
  const text = valueText(column);
  return `CASE WHEN pg_catalog.length(${text}) > ${maxShownLength}
    THEN pg_catalog.format('%s... (%s characters, MD5 %s)', pg_catalog."left"(${text}, ${maxShownLength}),
                           pg_catalog.length(${text}), pg_catalog.md5(${text}))
    ELSE ${text} END`;
}
