import { plural } from "../../core/internal.ts";
import type { SyncReport } from "../../commands/shared/sync_report.ts";
import { makeStyle, printable, renderTable, type TableOptions } from "../../ui/mod.ts";

/** The outcome of `sync` as lines. */
export function syncLines({ databases, warnings }: SyncReport, options: TableOptions): string[] {
  const style = makeStyle(options.color);
  const rows = databases.flatMap(({ source, target, streams }) =>
    streams.map(({ name, tables }) => [
      printable(source),
      printable(target),
      name,
      String(tables),
      style.green("streaming"),
    ])
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
    `${style.green("✓")} ${
      plural(databases.length, "database follows", "databases follow")
    } the source; status shows the lag`,
  ];
}
