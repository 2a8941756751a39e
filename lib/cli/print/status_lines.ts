import {
  displayName,
  formatBytes,
  formatCount,
  formatDuration,
  plural,
} from "../../core/internal.ts";
import type {
  CutoverPhase,
  DatabaseStatus,
  ServerStatus,
  StatusCheck,
  StatusReport,
  StreamState,
  StreamStatus,
} from "../../commands/status/status.ts";
import { setvalStatements } from "../../catalog/internal.ts";
import { isKeptForReturn } from "../../commands/status/evaluate.ts";
import { countingSide } from "../../cutover/internal.ts";
import { brokenStreamStates } from "../../replication/internal.ts";
import {
  makeStyle,
  printable,
  renderTable,
  type Style,
  type TableOptions,
  type Tone,
} from "../../ui/mod.ts";

const maxTables = 10;
const maxSequences = 5;
const maxStatements = 20;

/** The report of `status` as lines. */
export function statusLines(report: StatusReport, options: TableOptions): string[] {
  const style = makeStyle(options.color);
  return [
    serverStatusLine("source", report.source, style) +
    (report.wal === null ? "" : `, WAL at ${report.wal.lsn}` +
      (report.wal.bytesPerSecond === null
        ? ""
        : ` and ${formatBytes(report.wal.bytesPerSecond)}/s`)),
    serverStatusLine("target", report.target, style),
    ...report.databases.flatMap((database) => databaseLines(database, { style, options })),
    ...findingLines(report, style),
    "",
    verdictLine(report, style),
  ];
}

/** Without replication there is nothing that could be healthy or not. */
function verdictLine({ healthy, databases, source, target }: StatusReport, style: Style): string {
  if (healthy) return style.green("✓ healthy");
  return databases.length === 0 && source.reachable && target.reachable
    ? style.yellow("! nothing is replicated")
    : style.red("✗ not healthy");
}

/** The verdict of `--check`. */
export function checkLines({ ok, reasons }: StatusCheck, { color }: TableOptions): string[] {
  const style = makeStyle(color);
  return ok
    ? [style.green("✓ check passed")]
    : [style.red("✗ check failed:"), ...reasons.map((reason) => `  ${printable(reason)}`)];
}

/** One line for each stream, for a pipe. */
export function watchLine({ at, databases, findings }: StatusReport): string[] {
  const lines = databases.flatMap((database) =>
    database.streams.map((stream) =>
      [at, pairName(database), stream.name, stream.state, lagText(stream)].map(printable).join("  ")
    )
  );
  const problems = findings.filter(({ severity }) => severity === "problem")
    .map(({ id, message }) => `${at}  ${id}  ${printable(message)}`);
  return [...lines, ...problems];
}

function serverStatusLine(side: string, server: ServerStatus, style: Style): string {
  const url = printable(server.url);
  return server.reachable
    ? `${side}  ${url}  PostgreSQL ${server.version}`
    : `${side}  ${url}  ${style.red(`unreachable: ${printable(server.problem ?? "")}`)}`;
}

/** `app`, or `app → app_new`. */
export function pairName({ source, target }: DatabaseStatus): string {
  if (source === null || target === null || source === target) return source ?? target ?? "?";
  return `${source} → ${target}`;
}

interface Drawing {
  readonly style: Style;
  readonly options: TableOptions;
}

const phaseTexts: Readonly<Record<CutoverPhase, string>> = {
  none: "",
  preparing: "not completely prepared",
  prepared: "prepared; the source is in use, the target refuses writes",
  closing: "closing: both sides refuse writes",
  switched: "the target is in use; the streams below are stopped, and kept for the way back",
  returning: "returning: both sides refuse writes",
  finished: "finished; the target is in use",
  contradictory: "its records contradict each other",
};

function cutoverLines({ cutover }: DatabaseStatus): string[] {
  if (cutover == null || cutover.phase === "none") return [];
  const { phase, since, refusedWrites, keptSlot } = cutover;
  const side = countingSide(phase);
  return [
    `Cutover: ${phaseTexts[phase]} (since ${printable(since.slice(0, 19).replace("T", " "))} UTC)`,
    ...(side === undefined || refusedWrites == null
      ? []
      : [`Writes refused on the closed ${side}: ${formatCount(refusedWrites)}`]),
    ...(keptSlot == null ? [] : [
      `Slot of the way back, kept on the target: retains ${
        formatBytes(keptSlot.retainedBytes ?? 0)
      }`,
    ]),
  ];
}

function databaseLines(database: DatabaseStatus, { style, options }: Drawing): string[] {
  const rows = database.streams.map((stream) => [
    printable(stream.name),
    paintState(stream.state, style),
    isKeptForReturn(database) ? "stopped" : lagText(stream),
    stream.appliedBytesPerSecond === null ? "" : `${formatBytes(stream.appliedBytesPerSecond)}/s`,
    stream.slot === null
      ? ""
      : `${stream.slot.active ? `read by pid ${stream.slot.activePid}` : "inactive"}, retains ${
        formatBytes(stream.slot.retainedBytes ?? 0)
      }${stream.slot.walStatus === null ? "" : ` (${stream.slot.walStatus})`}`,
    stream.subscription === null
      ? ""
      : `${
        stream.subscription.workerPid === null ? "none" : `pid ${stream.subscription.workerPid}`
      }${
        stream.subscription.applyErrors
          ? `, ${plural(stream.subscription.applyErrors, "error")}`
          : ""
      }${
        stream.subscription.client === undefined
          ? ""
          : `, ${plural(stream.subscription.client.transactions, "transaction")} by this tool`
      }`,
    tablesText(stream),
  ]);
  return [
    "",
    style.bold(printable(pairName(database))),
    ...cutoverLines(database),
    ...(rows.length === 0
      ? []
      : options.columns < minTableColumns
      ? rows.flatMap(streamBlock)
      : renderTable(
        [
          { title: "Stream" },
          { title: "State" },
          { title: "Lag" },
          { title: "Applies", align: "right" },
          { title: "Slot", narrow: "wrap" },
          { title: "Worker" },
          { title: "Tables", narrow: "wrap" },
        ],
        rows,
        options,
      )),
    ...sequenceLines(database, style),
  ];
}

/** In narrower terminals, the facts of a stream take the full width, below its name. */
const minTableColumns = 110;

function streamBlock(
  [name = "", state = "", lag = "", rate = "", slot = "", worker = "", tables = ""]:
    readonly string[],
): readonly string[] {
  const facts = [
    ["lag", lag],
    ["applies", rate],
    ["slot", slot],
    ["worker", worker],
    ["tables:", tables],
  ].filter(([, value]) => value !== "").map(([title, value]) => `${title} ${value}`);
  return [`${name}  ${state}`, `  ${facts.join(" · ")}`];
}

function tablesText({ subscription, publication }: StreamStatus): string {
  const tables = subscription?.tables;
  if (tables === undefined) return publication === null ? "" : `${publication.tables} published`;
  const others = tables.filter(({ state }) => state !== "ready");
  const ready = `${formatCount(tables.length - others.length)} ready`;
  const named = others.slice(0, maxTables).map((table) =>
    `${printable(displayName(table))} ${table.state}`
  );
  const more = others.length > maxTables ? [`${others.length - maxTables} more not ready`] : [];
  return [ready, ...named, ...more].join(", ");
}

function sequenceLines(database: DatabaseStatus, style: Style): string[] {
  const { sequences, cutover } = database;
  if (sequences === null || sequences.length === 0) return [];
  const shown = sequences.slice(0, maxSequences).map((sequence) =>
    `${printable(displayName(sequence))} by ${formatCount(Math.abs(sequence.distance))}`
  );
  const behind = cutover?.phase === "switched"
    ? "sequences behind on the source (set at rollback)"
    : "sequences behind (set at cutover)";
  const more = sequences.length > maxSequences ? [`${sequences.length - maxSequences} more`] : [];
  return [
    style.dim(`${behind}: ${[...shown, ...more].join(", ")}`),
    ...setvalLines(database, style),
  ];
}

/** Without a cutover, these set what replication does not carry. */
function setvalLines(
  { sequences, cutover }: DatabaseStatus,
  style: Style,
): string[] {
  if (sequences === null || (cutover != null && cutover.phase !== "none")) return [];
  const statements = setvalStatements(
    sequences.slice(0, maxStatements).map(({ schema, name, source }) => ({
      schema,
      name,
      lastValue: BigInt(source),
      isCalled: true,
    })),
  );
  const more = sequences.length - statements.length;
  return [
    style.dim("without a cutover, run on the target when nothing writes to the source anymore:"),
    ...statements.map((statement) => style.dim(`  ${printable(statement)};`)),
    ...(more > 0 ? [style.dim(`  and ${more} more, see sequences in --json`)] : []),
  ];
}

function findingLines(
  { findings, databases }: Pick<StatusReport, "findings" | "databases">,
  style: Style,
): string[] {
  const several = new Set(
    databases.filter(({ streams }) => streams.length > 1).map(({ source, target }) =>
      source ?? target
    ),
  );
  if (findings.length === 0) return [];
  const paint = { problem: style.red, warning: style.yellow };
  return [
    "",
    ...findings.flatMap(({ severity, side, database, stream, message, remedy }) => {
      const isOneOfSeveral = stream !== null && several.has(database);
      const where = [
        side,
        ...(database === null ? [] : [database]),
        ...(isOneOfSeveral && !message.includes(stream) ? [stream] : []),
      ].map(printable).join(", ");
      const sign = severity === "problem" ? "✗" : "!";
      return [
        `${paint[severity](sign)} ${where}: ${printable(message)}`,
        style.dim(`  → ${printable(remedy)}`),
      ];
    }),
  ];
}

function lagText({ lagBytes, lagSeconds }: StreamStatus): string {
  if (lagBytes === null && lagSeconds === null) return "unknown";
  if (lagBytes === 0) return "none";
  const bytes = lagBytes === null ? [] : [formatBytes(lagBytes)];
  const seconds = lagSeconds === null ? [] : [formatDuration(lagSeconds * 1000)];
  return [...bytes, ...seconds].join(", ");
}

/** How serious a state is. */
export function toneOf(state: StreamState): Tone {
  return brokenStreamStates.has(state) ? "bad" : state === "streaming" ? "good" : "warn";
}

function paintState(state: StreamState, style: Style): string {
  const tone = toneOf(state);
  return tone === "bad"
    ? style.red(state)
    : tone === "good"
    ? style.green(state)
    : style.yellow(state);
}
