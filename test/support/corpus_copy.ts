import type { Cluster } from "../../lib/cluster/mod.ts";
import { withDatabase } from "../../lib/postgres/internal.ts";
import { dumpSchemaText, type DumpTool, findInstalledTools } from "../../lib/schema/internal.ts";
import { corpusOf, loadCorpus } from "../corpus/mod.ts";
import { compareDatabases, compareRoles, type Difference } from "./compare.ts";
import { dropDatabase } from "./databases.ts";
import { endpointOf, type InitOutcome, type InitTestOptions, runInit } from "./init.ts";
import { exec } from "./sql.ts";

/** The result of {@linkcode copyCorpus}. */
export interface CorpusCopy extends InitOutcome {
  /**
   * Differences according to plain SQL: rows, sequences, large objects, grants, owners, … Empty if
   * equal.
   */
  readonly differences: readonly Difference[];
  /**
   * Lines that only one of the schema dumps contains, both created by the same pg_dump. Empty if
   * equal.
   */
  readonly dumpDifferences: readonly string[];
}

/**
 * What pg_dump does not preserve: the position of columns inherited later, invalid indexes, the
 * inheritance flags of a partition's key and NOT NULL, and the encoding of a collation created
 * without one. A shell operator keeps its reference back since 15.20 and the corresponding minor
 * releases.
 */
const leftToPgDump = [
  /^column .* position$/,
  /^index .*invalid_index.* existence$/,
  /^constraint .* connoinherit$/,
  /^constraint .*not_null conislocal$/,
  /^collation .* encoding$/,
  /^operator .* (?:commutator|negator)$/,
];

const name = "corpus";
const embedded: DumpTool = { kind: "embedded", major: 18, description: "embedded pg_dump 18" };

/** Loads the corpus of the older version into a new database on the source. */
export async function loadCorpusFor(source: Cluster, targetMajor: number): Promise<void> {
  await dropDatabase(source, name);
  await exec(source.url(), `CREATE DATABASE ${name} TEMPLATE template0`);
  await loadCorpus(source, name, corpusOf(Math.min(source.major, targetMajor)));
}

/** Copies the loaded corpus with `init` and compares both sides in every way. */
export async function copyCorpus(
  source: Cluster,
  target: Cluster,
  { params = {}, ...options }: InitTestOptions & { readonly params?: Record<string, string> } = {},
): Promise<CorpusCopy> {
  const outcome = await runInit(
    source.url({ database: name, params }),
    target.url({ params }),
    { include: [name], map: { [name]: name }, dropExisting: true, ...options },
  );
  const urls = [source.url({ database: name }), target.url({ database: name })] as const;
  const differences = [
    ...await compareDatabases(...urls, { ignore: leftToPgDump }),
    ...await compareRoles(source.url(), target.url()),
  ];
  const [one, other] = await Promise.all([source, target].map(schemaLines));
  return { ...outcome, differences, dumpDifferences: linesOfOne(one ?? [], other ?? []) };
}

/** The major version of the newest installed pg_dump; 0 if there is none. */
export async function installedDumpMajor(): Promise<number> {
  const [newest] = await findInstalledTools({
    binDirectory: undefined,
    environment: Deno.env.toObject(),
  });
  return newest?.major ?? 0;
}

async function schemaLines(cluster: Cluster): Promise<readonly string[]> {
  const endpoint = withDatabase(await endpointOf(cluster.url(), "source"), name);
  const text = await dumpSchemaText({ endpoint, tool: embedded });
  return withoutServersOwnOptions(text).split("\n")
    .filter((line) => !/^-- Dumped (?:from|by)|^\\(?:un)?restrict/.test(line))
    // pg_dump changes the position of a column inherited later
    .map((line) => line.replace(/,$/, ""));
}

/**
 * Removes column options that servers since November 2026 store and their pg_dump omits.
 */
function withoutServersOwnOptions(dump: string): string {
  return dump
    .replace(/^ALTER (?:FOREIGN )?TABLE (?:(?!;\n)[^])* SET \(pg_attver=\d+\);\n/gm, "")
    .replace(/(?:, )?\bpg_attver=\d+(?:, (?=\w))?/g, "");
}

/** Lines that occur more often on one side, marked with that side. */
function linesOfOne(one: readonly string[], other: readonly string[]): readonly string[] {
  const counts = new Map<string, number>();
  for (const line of one) counts.set(line, (counts.get(line) ?? 0) + 1);
  for (const line of other) counts.set(line, (counts.get(line) ?? 0) - 1);
  return [...counts].filter(([, count]) => count !== 0)
    .map(([line, count]) => `${count > 0 ? "source" : "target"}: ${line}`);
}
