import { listDatabases, listTables, offeredDatabases } from "../../catalog/internal.ts";
import { writeChoice } from "../../config/internal.ts";
import { InterruptedError } from "../../core/internal.ts";
import { openSession, withDatabase } from "../../postgres/internal.ts";
import { printPart, printPattern, type TableChoice } from "../../rules/internal.ts";
import type { CommandContext } from "../context.ts";
import type { CopyOptions } from "../options/copy_options.ts";
import { openPrompts } from "../terminal/prompts.ts";
import { reportFileProblem, writeReportFile } from "../options/report_file.ts";
import { withSelection } from "../print/run_arguments.ts";
import { askSelection } from "../terminal/selection.ts";

/**
 * With `--interactive`, asks the user; the selection replaces the filters of databases and tables,
 * here and in the arguments of this run. Rules about rows remain.
 *
 * @returns undefined if nothing was selected
 */
export async function chooseInteractively<Options extends CopyOptions>(
  options: Options,
  { terminal, progress, run, args, replaceArgs }: CommandContext,
): Promise<Options | undefined> {
  const { source, databases, rules } = options;
  if (!options.interactive) return options;
  progress.pause();
  await using session = await openSession(source, { signal: run.signal });
  const offered = offeredDatabases(await listDatabases(session))
    .filter(({ canConnect, allowConnections, isInvalid }) =>
      canConnect && allowConnections && !isInvalid
    );
  const selection = await askSelection({
    databases: offered.map(({ name, sizeBytes }) => ({ name, bytes: sizeBytes })),
    marked: source.databaseGiven && offered.some(({ name }) => name === source.database)
      ? [source.database]
      : [],
    tablesOf: async (database) => {
      await using session = await openSession(withDatabase(source, database), {
        signal: run.signal,
      });
      return await listTables(session);
    },
    prompts: await openPrompts(terminal, run.signal),
    problemOfFile: reportFileProblem,
  });
  run.signal.throwIfAborted();
  if (selection === undefined) return undefined;
  if (selection.saveAs !== undefined) {
    await writeReportFile(selection.saveAs, writeChoice(selection));
    terminal.stderr.write(
      `Saved to ${selection.saveAs}; next time: --config ${selection.saveAs}\n`,
    );
  }
  const exclude = [...selection.excluded].flatMap(([database, tables]): TableChoice[] =>
    tables.map(({ schema, name }) => ({
      pattern: { database: [database], schema: [schema], table: [name] },
      origin: { from: "flag", path: "--interactive" },
    }))
  );
  const chosen = {
    databases: {
      ...databases,
      include: selection.databases.map((name) => printPart([name])),
    },
    rules: { ...rules, exclude },
  };
  replaceArgs(withSelection(args, selectionFlags(chosen)));
  return { ...options, ...chosen };
}

/** The selection as options. */
export function selectionFlags(
  { databases, rules }: Pick<CopyOptions, "databases" | "rules">,
): readonly string[] {
  return [
    ...databases.include.map((name) => `--include-databases=${name}`),
    ...rules.exclude.map(({ pattern }) => `--exclude-tables=${printPattern(pattern)}`),
  ];
}

/** Ends a command whose questions were not answered. */
export function nothingChosen(): InterruptedError {
  return new InterruptedError("nothing was selected, nothing was changed");
}
