/**
 * Copies the whole corpus from every PostgreSQL version to every suitable target version, in both
 * formats, and compares them in every way. `deno task test:matrix`, some minutes; `deno task
 * test:matrix 12,15 18` uses only those sources and targets.
 *
 * @module
 */
import type { Cluster, PgMajor } from "../../lib/cluster/mod.ts";
import type { Difference } from "../support/compare.ts";
import { copyCorpus, installedDumpMajor, loadCorpusFor } from "../support/corpus_copy.ts";
import { startTestCluster } from "../support/test_cluster.ts";

const majors: readonly PgMajor[] = [12, 13, 14, 15, 16, 17, 18];

/** Sources and targets from the command line; all of them by default. */
function chosen(argument: string | undefined): readonly PgMajor[] {
  if (argument === undefined) return majors;
  const wanted = argument.split(",").map(Number);
  const unknown = wanted.filter((major) => !(majors as readonly number[]).includes(major));
  if (unknown.length > 0) {
    throw new Error(`unknown version ${unknown.join(", ")}; there are ${majors.join(", ")}`);
  }
  return majors.filter((major) => wanted.includes(major));
}

/** An older target gets the corpus of its version, as it does not support newer syntax. */
async function check(
  source: Cluster,
  target: Cluster,
  nativeMajor: number,
): Promise<readonly string[]> {
  await loadCorpusFor(source, target.major);
  const problems: string[] = [];
  for (const copyFormat of ["auto", "text"] as const) {
    const native = nativeMajor >= Math.max(source.major, target.major) && copyFormat === "text";
    const tools = {
      dump: native ? "native" : "embedded",
      binDirectory: undefined,
      environment: Deno.env.toObject(),
    } as const;
    try {
      const { differences: all, dumpDifferences } = await copyCorpus(source, target, {
        copyFormat,
        tools,
        splitBytes: 512 * 1024,
      });
      const differences = all.filter((difference) => !isOfTheVersion(difference, source, target));
      problems.push(
        ...differences.map((difference) => `${copyFormat}: ${JSON.stringify(difference)}`),
      );
      if (source.major === target.major) {
        problems.push(...dumpDifferences.map((line) => `${copyFormat}: ${line}`));
      }
    } catch (error) {
      problems.push(`${copyFormat}: ${error instanceof Error ? error.message : error}`);
    }
  }
  return problems;
}

/**
 * Since version 15, schema public belongs to a role that older versions lack, and PUBLIC has no
 * CREATE privilege.
 */
function isOfTheVersion({ kind, name }: Difference, source: Cluster, target: Cluster): boolean {
  return source.major >= 15 && target.major < 15 && kind === "schema" && name === "public";
}

const [sources, targets] = [chosen(Deno.args[0]), chosen(Deno.args[1])];
const nativeMajor = await installedDumpMajor();
let passed = 0;
let failed = 0;
for (const from of sources) {
  for (const to of targets) {
    // new servers: roles left by a run would affect the next one
    await using source = await startTestCluster({ major: from });
    await using target = await startTestCluster({ major: to });
    const start = performance.now();
    const problems = await check(source, target, nativeMajor);
    const seconds = ((performance.now() - start) / 1000).toFixed(0);
    console.log(`${from} → ${to}: ${problems.length === 0 ? "equal" : "DIFFERENT"} (${seconds} s)`);
    for (const problem of problems.slice(0, 20)) console.log(`  ${problem.slice(0, 500)}`);
    if (problems.length === 0) passed++;
    else failed++;
  }
}
console.log(`${passed} passed, ${failed} failed`);
if (failed > 0) Deno.exit(1);
