import { displayName, type TableName } from "../../core/internal.ts";

/**
 * Something that will stop replication later, or let the target differ, known before anything is
 * copied.
 */
export interface Hazard {
  readonly id:
    | "ambiguous-rows"
    | "always-triggers"
    | "truncate-reach"
    | "unvalidated-domains"
    | "forced-row-security"
    | "owner-privileges"
    | "role-privileges";
  /** Whether the table's first change stops replication; otherwise it depends on the rows. */
  readonly isCertain: boolean;
  /** What will happen, and to which tables. */
  readonly finding: string;
  /** Statements or options that avoid it. */
  readonly remedy: string;
}

const maxNames = 20;

/** Lists distinct items, a long list abbreviated: `a, b and 3 more`. */
export function listSome(items: readonly string[], separator = ", "): string {
  const distinct = [...new Set(items)];
  if (distinct.length <= maxNames + 1) return distinct.join(separator);
  return `${distinct.slice(0, maxNames).join(separator)} and ${distinct.length - maxNames} more`;
}

/** Lists tables with details of each: `public.t (x numeric, y real)`. */
export function listDetails<Item extends TableName>(
  items: readonly Item[],
  detail: (item: Item) => string,
): string {
  const groups = Map.groupBy(items, (item) => displayName(item));
  return listSome([...groups].map(([name, group]) => `${name} (${group.map(detail).join(", ")})`));
}
