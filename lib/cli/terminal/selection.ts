import { formatBytes, formatCount, type TableName } from "../../core/internal.ts";

/** A database to select. */
export interface OfferedDatabase {
  readonly name: string;
  readonly bytes: number | undefined;
}

/** A table to exclude. */
export interface OfferedTable extends TableName {
  readonly bytes: number;
  readonly rowEstimate: number | undefined;
}

/** What was selected. */
export interface Selection {
  readonly databases: readonly string[];
  /** The tables to exclude, by database. */
  readonly excluded: ReadonlyMap<string, readonly OfferedTable[]>;
  /** Where to save the selection, if anywhere. */
  readonly saveAs: string | undefined;
}

/** One line of a list. */
export interface Choice<Value> {
  readonly value: Value;
  readonly label: string;
  readonly hint: string;
}

/** How questions are asked. Undefined means Esc or Ctrl-C. */
export interface Prompts {
  readonly chooseMany: <Value extends string>(question: {
    readonly message: string;
    readonly choices: readonly Choice<Value>[];
    readonly initial: readonly Value[];
    readonly required: boolean;
  }) => Promise<readonly Value[] | undefined>;
  readonly enterText: (question: {
    readonly message: string;
    readonly placeholder: string;
    readonly problemOf: (text: string) => string | undefined;
  }) => Promise<string | undefined>;
  readonly confirm: (message: string) => Promise<boolean | undefined>;
  readonly show: (title: string, lines: readonly string[]) => void;
}

/** What to ask about. */
export interface SelectionInput {
  readonly databases: readonly OfferedDatabase[];
  /** Databases marked initially. */
  readonly marked: readonly string[];
  readonly tablesOf: (database: string) => Promise<readonly OfferedTable[]>;
  readonly prompts: Prompts;
  readonly problemOfFile: (path: string) => Promise<string | undefined>;
}

/**
 * Asks which databases to copy, which of their tables to exclude, and for confirmation.
 *
 * @returns undefined if nothing was selected or a question was not answered
 */
export async function askSelection(input: SelectionInput): Promise<Selection | undefined> {
  const { prompts } = input;
  const databases = await prompts.chooseMany({
    message: "Which databases? Tab to select, type to search, Enter to continue",
    choices: input.databases.map(({ name, bytes }) => ({
      value: name,
      label: name,
      hint: bytes === undefined ? "" : formatBytes(bytes),
    })),
    initial: input.marked,
    required: false,
  });
  if (databases === undefined || databases.length === 0) return undefined;
  const excluded = new Map<string, readonly OfferedTable[]>();
  const kept = new Map<string, readonly OfferedTable[]>();
  for (const database of databases) {
    const tables = await input.tablesOf(database);
    const leftOut = tables.length === 0 ? [] : await askTables(database, tables, prompts);
    if (leftOut === undefined) return undefined;
    excluded.set(database, leftOut);
    kept.set(database, tables.filter((table) => !leftOut.includes(table)));
  }
  prompts.show("Your selection", summaryLines({ databases, excluded }, kept));
  const saveAs = await prompts.enterText({
    message: "Save this selection? File name, or leave empty",
    placeholder: "move.toml",
    problemOf: () => undefined,
  });
  if (saveAs === undefined) return undefined;
  const problem = saveAs === "" ? undefined : await input.problemOfFile(saveAs);
  if (problem !== undefined) prompts.show("Not saved", [problem]);
  if (!await prompts.confirm("Continue with this selection?")) return undefined;
  return {
    databases,
    excluded,
    saveAs: saveAs === "" || problem !== undefined ? undefined : saveAs,
  };
}

async function askTables(
  database: string,
  tables: readonly OfferedTable[],
  prompts: Prompts,
): Promise<readonly OfferedTable[] | undefined> {
  const groups = groupBySchema(tables);
  const sorted = groups.flatMap((group) => group.tables);
  const chosen = await prompts.chooseMany({
    message: `Which tables of ${database} to exclude? Tab to select; none is fine`,
    choices: groups.flatMap(({ schema, tables }) => [
      ...(groups.length === 1 ? [] : [{
        value: `schema ${schema}`,
        label: `all of schema ${schema}`,
        hint: `${formatCount(tables.length)} tables, ${formatBytes(sumBytes(tables))}`,
      }]),
      ...tables.map((table) => ({
        value: `table ${sorted.indexOf(table)}`,
        label: tableLabel(table),
        hint: tableHint(table),
      })),
    ]),
    initial: [],
    required: false,
  });
  if (chosen === undefined) return undefined;
  const marked = new Set(chosen);
  return sorted.filter((table, index) =>
    marked.has(`table ${index}`) || marked.has(`schema ${table.schema}`)
  );
}

interface SchemaGroup {
  readonly schema: string;
  /** Largest first. */
  readonly tables: readonly OfferedTable[];
}

/** By schema, `public` first. */
function groupBySchema(tables: readonly OfferedTable[]): readonly SchemaGroup[] {
  return [...Map.groupBy(tables, ({ schema }) => schema)]
    .map(([schema, own]) => ({ schema, tables: own.toSorted((a, b) => b.bytes - a.bytes) }))
    .sort((a, b) =>
      Number(b.schema === "public") - Number(a.schema === "public") ||
      (a.schema < b.schema ? -1 : 1)
    );
}

function sumBytes(tables: readonly OfferedTable[]): number {
  return tables.reduce((total, { bytes }) => total + bytes, 0);
}

/** `orders`, `analytics.orders`: the names as in the catalog. */
function tableLabel({ schema, name }: TableName): string {
  return schema === "public" ? name : `${schema}.${name}`;
}

function tableHint({ bytes, rowEstimate }: OfferedTable): string {
  return `${formatBytes(bytes)}${
    rowEstimate === undefined ? "" : `, ~${formatCount(rowEstimate)} rows`
  }`;
}

/** The selection in a few lines. */
function summaryLines(
  { databases, excluded }: Pick<Selection, "databases" | "excluded">,
  kept: ReadonlyMap<string, readonly OfferedTable[]>,
): readonly string[] {
  return databases.flatMap((database) => {
    const tables = kept.get(database) ?? [];
    const without = excluded.get(database) ?? [];
    const named = without.slice(0, 8).map(tableLabel).join(", ") +
      (without.length > 8 ? ` and ${without.length - 8} more` : "");
    return [
      `${database}: ${formatCount(tables.length)} of ${
        formatCount(tables.length + without.length)
      } tables, ${formatBytes(sumBytes(tables))}`,
      ...(without.length === 0 ? [] : [`  without ${named} (${formatBytes(sumBytes(without))})`]),
    ];
  });
}
