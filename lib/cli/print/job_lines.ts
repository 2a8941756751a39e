import { ExitCode, formatBytes, formatCount, plural, stepTitle } from "../../core/internal.ts";
import type { RemoteJob } from "../../remote/mod.ts";
import { fitLines, makeStyle, printable, renderTable, type TableOptions } from "../../ui/mod.ts";

/** Jobs of a service, one a line. */
export function jobListLines(jobs: readonly RemoteJob[], options: TableOptions): string[] {
  const style = makeStyle(options.color);
  const isNarrow = options.columns < minColumnsForIds;
  return renderTable(
    [
      { title: "Job" },
      { title: "Command" },
      { title: "State" },
      { title: "Submitted" },
      { title: "Target", narrow: "cut" },
    ],
    jobs.map((job) => [
      isNarrow ? job.id.slice(0, shortIdLength) : job.id,
      job.command,
      job.state === "succeeded"
        ? style.green(job.state)
        : job.state === "queued" || job.state === "running"
        ? job.state
        : style.red(job.state),
      job.created_at.slice(0, 19).replace("T", " "),
      printable(placeOf(job.spec.target)),
    ]),
    options,
  );
}

/** Commands accept the beginning of an id. */
const shortIdLength = 8;
/** Below this width, whole ids would leave no room for the target. */
const minColumnsForIds = 110;

/** `db.example.com:5432/shop` */
function placeOf(url: string): string {
  return url.replace(/^[a-z]+:\/\/(?:[^@/]*@)?/i, "");
}

/** Everything about one job. */
export function jobLines(
  job: RemoteJob,
  { columns }: Pick<TableOptions, "columns">,
): string[] {
  const { progress, error } = job;
  const line = (name: string, value: string | number | null) =>
    value === null ? [] : fitLines([printable(String(value))], { columns: columns - titleColumns })
      .map((text, index) => `${(index === 0 ? name : "").padEnd(titleColumns)}${text}`);
  return [
    ...line("job", job.id),
    ...line("command", job.command),
    ...line("state", job.state),
    ...line("source", job.spec.source),
    ...line("target", job.spec.target),
    ...line("submitted", job.created_at),
    ...line("started", job.started_at),
    ...line("finished", job.finished_at),
    ...line("attempt", job.attempt),
    ...line("worker", job.worker),
    ...line("exit code", exitCodeWords(job.exit_code)),
    ...(progress === null ? [] : line("progress", progressWords(progress))),
    ...(error === null ? [] : line("error", error.message)),
    ...(error?.details ?? []).flatMap((detail) => line("", detail)),
    ...(error === null ? [] : line("remedy", error.remedy)),
    ...line("trace id", job.trace_id),
  ];
}

const titleColumns = 11;

/** The exit code, and what it means for commands that end with a report. */
function exitCodeWords(code: number | null): string | null {
  switch (code) {
    case null:
      return null;
    case ExitCode.mismatch:
      return `${code}, source and target differ`;
    case ExitCode.unhealthy:
      return `${code}, replication is not healthy`;
    case ExitCode.notVerified:
      return `${code}, not everything could be compared`;
    case ExitCode.completeExcept:
      return `${code}, complete except for objects that the target refused`;
    default:
      return String(code);
  }
}

/** `Copy rows: 3 of 12 tables, 1,200 rows, 34.5 MB` */
function progressWords(
  { step, tables, tables_finished, rows, bytes }: NonNullable<RemoteJob["progress"]>,
): string {
  return [
    ...(step === null ? [] : [stepTitle(step)]),
    ...(tables === 0 ? [] : [
      [
        `${formatCount(tables_finished)} of ${plural(tables, "table")}`,
        ...(rows === 0 ? [] : [plural(rows, "row")]),
        ...(bytes === 0 ? [] : [formatBytes(bytes)]),
      ].join(", "),
    ]),
  ].join(": ");
}
