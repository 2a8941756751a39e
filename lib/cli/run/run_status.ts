import { ExitCode, pause } from "../../core/internal.ts";
import {
  checkStatus,
  executeStatus,
  prometheusMetrics,
  type StatusCheck,
  StatusMonitor,
  type StatusOptions,
  type StatusReport,
} from "../../commands/status/status.ts";
import { printPart } from "../../rules/internal.ts";
import { optionDefaults } from "../../config/internal.ts";
import { LiveRegion, renderWatch } from "../../ui/mod.ts";
import type { CommandContext, CommandRunner } from "../context.ts";
import { resolveStatusOptions, type StatusCommandOptions } from "../options/replication_options.ts";
import { printRemedies } from "../print/print_next.ts";
import { jsonLine, printJson, printResult, tableOptions } from "../print/print.ts";
import { readRemote } from "../remote/remote_place.ts";
import { checkLines, statusLines, watchLine } from "../print/status_lines.ts";
import { WatchHistory } from "../print/watch_history.ts";

/** `status`: one report, or continuous reports with `--watch`. */
export const runStatus: CommandRunner = async (reader, context) => {
  const place = readRemote(reader, context.resolve);
  if (place !== undefined && reader.flag("watch")) {
    reader.problem("--watch", "cannot be combined with --remote: leave it out, or give --local");
  }
  const options = await resolveStatusOptions(reader, context.resolve);
  const statusOptions: StatusOptions = {
    source: options.source,
    target: options.target,
    databases: options.databases,
    sampleMs: optionDefaults.sampleMs,
    now: () => new Date(),
  };
  if (options.watchEveryMs !== undefined) {
    return await watch(statusOptions, { intervalMs: options.watchEveryMs, context });
  }
  const report = place === undefined
    ? await executeStatus(statusOptions, context.run)
    : await (await import("../remote/remote_commands.ts")).statusRemotely(statusOptions, {
      place,
      reader,
      context,
    });
  context.progress.pause();
  const check = options.check ? checkStatus(report, options.limits) : undefined;
  print(report, { check, options, context });
  if (!options.prometheus) {
    const args = [...context.args, ...mapFlags(report)];
    printRemedies(report.findings.map(({ remedy }) => remedy), { ...context, args }, {
      otherwise: nextCommand(report),
    });
  }
  return statusExitCode(report, check);
};

/** `--map` for databases with another name on the target, which `status` finds by itself. */
function mapFlags({ databases }: StatusReport): readonly string[] {
  const isAmbiguous = (name: string) =>
    databases.filter(({ source }) => source === name).length > 1;
  return databases.flatMap(({ source, target }) =>
    source === null || target === null || source === target || isAmbiguous(source)
      ? []
      : [`--map=${printPart([source])}=${printPart([target])}`]
  );
}

/** What to run next where no finding says so; undefined if only waiting or a repair helps. */
function nextCommand({ healthy, databases }: StatusReport): string | undefined {
  const isSwitching = databases.some(({ cutover }) => cutover != null && cutover.phase !== "none");
  return isSwitching ? "cutover status" : healthy ? "verify" : undefined;
}

function print(
  report: StatusReport,
  { check, options, context: { terminal, output } }: {
    readonly check: StatusCheck | undefined;
    readonly options: StatusCommandOptions;
    readonly context: CommandContext;
  },
): void {
  if (output.json) printJson(terminal, check === undefined ? report : { ...report, check });
  else if (options.prometheus) terminal.stdout.write(prometheusMetrics(report));
  else {
    const size = tableOptions(terminal.stdout);
    printResult(terminal, [
      ...statusLines(report, size),
      ...(check === undefined ? [] : checkLines(check, size)),
    ]);
  }
}

/** An unreachable side takes precedence. */
function statusExitCode(
  { source, target }: StatusReport,
  check: StatusCheck | undefined,
): ExitCode {
  if (!source.reachable) return ExitCode.sourceUnreachable;
  if (!target.reachable) return ExitCode.targetUnreachable;
  return check === undefined || check.ok ? ExitCode.success : ExitCode.unhealthy;
}

/** Reports until `q`, Ctrl-C or SIGTERM, then exits with the code of the last report. */
async function watch(
  statusOptions: StatusOptions,
  { intervalMs, context }: { readonly intervalMs: number; readonly context: CommandContext },
): Promise<ExitCode> {
  const { terminal, output, progress, run } = context;
  progress.pause();
  const left = new AbortController();
  const signal = AbortSignal.any([run.signal, left.signal]);
  using _keys = terminal.listenForKeys((key) => {
    if (key === "q" || key === "Q") left.abort(new Left());
  });
  const drawing = terminal.stdout.isTerminal && !output.json &&
    context.resolve.environment["TERM"] !== "dumb";
  const history = new WatchHistory();
  using region = new LiveRegion(terminal.stdout);
  let last: StatusReport | undefined;
  const draw = (report: StatusReport) => {
    const { columns, rows } = terminal.stdout.size();
    region.draw(renderWatch(
      history.view(report, { hint: `q quits · every ${intervalMs / 1000} s` }),
      { columns: columns - 1, rows, color: terminal.stdout.color },
    ));
  };
  // a resized window is redrawn before the next report
  const redraw = setInterval(() => drawing && last !== undefined && draw(last), 500);
  try {
    await using monitor = new StatusMonitor(
      { ...statusOptions, sampleMs: Math.min(intervalMs, statusOptions.sampleMs) },
      {
        ...run,
        signal,
      },
    );
    for (;;) {
      const report = await monitor.read();
      history.note(report);
      last = report;
      if (output.json) terminal.stdout.write(jsonLine(report));
      else if (drawing) draw(report);
      else for (const line of watchLine(report)) terminal.stdout.write(`${line}\n`);
      await pause(intervalMs, signal);
    }
  } catch (error) {
    if (!signal.aborted) throw error;
    if (drawing && last !== undefined) {
      region.clear();
      printResult(terminal, statusLines(last, tableOptions(terminal.stdout)));
    }
    return last === undefined ? ExitCode.interrupted : statusExitCode(last, undefined);
  } finally {
    clearInterval(redraw);
  }
}

/** The watch was ended by a key. */
class Left extends Error {
  override readonly name = "Left";
}
