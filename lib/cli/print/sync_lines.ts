import { plural } from "../../core/internal.ts";
import type { SyncReport } from "../../commands/shared/sync_report.ts";
import { makeStyle, printable, renderTable, type TableOptions } from "../../ui/mod.ts";

/** The outcome of `sync` as lines. */
export function syncLines(
  { databases, warnings }: SyncReport,
  { resume, ...options }: TableOptions & {
    /** The command that resumes applying changes; undefined for a job. */
    readonly resume: string | undefined;
  },
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
        style.yellow("!") + " changes are no longer applied, and the source retains WAL; " +
        (resume === undefined ? "another sync resumes" : "this resumes:"),
        ...(resume === undefined ? [] : [`  ${printable(resume)}`]),
      ]
      : [
        `${style.green("✓")} ${
          plural(databases.length, "database follows", "databases follow")
        } the source; status shows the lag`,
      ]),
  ];
}
