import { displayName, formatBytes, plural } from "../../core/internal.ts";
import type { SyncPlan, SyncReport } from "../../commands/shared/sync_report.ts";
import { makeStyle, printable, renderTable, type TableOptions } from "../../ui/mod.ts";
import { identityLines } from "./source_change_lines.ts";

/** The outcome of `sync` as lines. */
export function syncLines(
  { databases, warnings }: SyncReport,
  options: TableOptions,
): string[] {
  const style = makeStyle(options.color);
  const rows = databases.flatMap(({ source, target, streams }) =>
    streams.map(({ name, tables, applied }) => [
      printable(source),
      printable(target),
      name,
      String(tables),
      applied === undefined
        ? style.green("streaming")
        : `stopped after ${plural(applied.transactions, "transaction")}, ${
          plural(applied.changes, "change")
        }`,
    ])
  );
  const isStopped = databases.some(({ streams }) =>
    streams.some(({ applied }) => applied !== undefined)
  );
  return [
    ...renderTable(
      [
        { title: "Source", narrow: "cut" },
        { title: "Target", narrow: "cut" },
        { title: "Slot, publication, subscription" },
        { title: "Tables", align: "right" },
        { title: "" },
      ],
      rows,
      options,
    ),
    ...databases.flatMap(({ source, done }) => done.map((what) => `${printable(source)}: ${what}`)),
    "",
    ...warnings.flatMap(({ message, object, remedy }) => [
      `${style.yellow("!")} ${printable(object === undefined ? message : `${object}: ${message}`)}`,
      ...(remedy === undefined ? [] : [style.dim(`  → ${printable(remedy)}`)]),
    ]),
    ...(isStopped
      ? [
        style.yellow("!") +
        " changes are no longer applied, and the source retains WAL; another sync resumes",
      ]
      : [
        `${style.green("✓")} ${
          plural(databases.length, "database follows", "databases follow")
        } the source; status shows the lag`,
      ]),
  ];
}

const maxTables = 20;

/** What `sync` is about to copy, and what that changes on the source. */
export function syncPlanLines({ databases, areNew }: SyncPlan, options: TableOptions): string[] {
  const style = makeStyle(options.color);
  const tableLines = databases.flatMap(({ source, target, tables }) => [
    `${style.bold(printable(source))}: ${plural(tables.length, "table")} ${
      areNew
        ? `will be created in ${printable(target)} and copied`
        : style.red(`will be EMPTIED in ${printable(target)} and copied again`)
    }`,
    ...tables.slice(0, maxTables).map((table) =>
      `  ${printable(displayName(table))}  ${formatBytes(table.bytes)}`
    ),
    ...(tables.length > maxTables ? [`  and ${tables.length - maxTables} more`] : []),
  ]);
  return [
    ...tableLines,
    "",
    style.bold("Changes to the source"),
    ...databases.map(({ source, tables }) =>
      `  ${printable(source)}: a new publication and replication slot for ${
        plural(tables.length, "table")
      }${areNew ? "" : ", removed from the current publication"}; ` +
      "the slot retains WAL until the target has confirmed it"
    ),
    ...databases.flatMap((database) => identityLines(database, style)),
    "  cleanup undoes all of this.",
  ];
}
