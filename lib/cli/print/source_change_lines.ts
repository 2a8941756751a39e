import { displayName, type TableName } from "../../core/internal.ts";
import { printable, type Style } from "../../ui/mod.ts";

/** What `REPLICA IDENTITY FULL` means for tables of a database of the source. */
export function identityLines(
  { source, identities, byAllColumns = [] }: {
    readonly source: string;
    /** Tables that are set to it. */
    readonly identities: readonly TableName[];
    /** Tables that have it, or are set to it, and have no primary key. */
    readonly byAllColumns?: readonly TableName[];
  },
  style: Style,
): readonly string[] {
  const database = printable(source);
  return [
    ...(identities.length === 0 ? [] : [
      style.yellow(
        `  ${database}: ALTER TABLE … REPLICA IDENTITY FULL for ${firstTables(identities)}; ` +
          "each UPDATE and DELETE then writes the whole old row to WAL",
      ),
    ]),
    ...(byAllColumns.length === 0 ? [] : [
      style.yellow(
        `  ${database}: rows are found by all columns (REPLICA IDENTITY FULL) in ${
          firstTables(byAllColumns)
        }; for each UPDATE and DELETE, the target may read the whole table`,
      ),
    ]),
  ];
}

/** The first tables by name, and how many more there are. */
export function firstTables(tables: readonly TableName[]): string {
  return firstNames(tables.map(displayName));
}

/** The first names, and how many more there are. */
export function firstNames(names: readonly string[]): string {
  return names.slice(0, maxListed).map(printable).join(", ") +
    (names.length > maxListed ? ` and ${names.length - maxListed} more` : "");
}

const maxListed = 10;
