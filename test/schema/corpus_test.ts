import { deepStrictEqual as equal } from "node:assert/strict";
import type { Cluster } from "../../lib/cluster/mod.ts";
import { openSession, resolveEndpoint, withDatabase } from "../../lib/postgres/internal.ts";
import {
  applyGlobals,
  applyStatements,
  classifyPostData,
  createDatabase,
  databasePropertyStatements,
  databaseSettingStatements,
  dumpGlobals,
  dumpSchema,
  dumpSchemaText,
  dumpSections,
  type DumpTool,
  findInstalledTools,
  readDatabaseProperties,
} from "../../lib/schema/internal.ts";
import { loadCorpus } from "../corpus/mod.ts";
import { withRepeats } from "../support/long.ts";
import { startTestCluster } from "../support/test_cluster.ts";

const environment = Deno.env.toObject();
const [newest] = await findInstalledTools({ binDirectory: undefined, environment });
const embedded: DumpTool = { kind: "embedded", major: 18, description: "embedded pg_dump 18" };
const native: DumpTool | undefined = newest === undefined
  ? undefined
  : { kind: "native", description: "", environment, ...newest };

/** Creates the source's database `corpus` on the target as `init` does, without rows. */
async function copySchema(source: Cluster, target: Cluster, tool: DumpTool): Promise<void> {
  const from = withDatabase(await resolveEndpoint(source.url(), { side: "source" }), "corpus");
  const admin = await resolveEndpoint(target.url(), { side: "target" });
  const to = withDatabase(admin, "corpus");
  await using sourceSession = await openSession(from);
  const properties = await readDatabaseProperties(sourceSession);
  {
    await using session = await openSession(admin);
    await applyGlobals(
      session,
      await dumpGlobals({ session: sourceSession, tool, databases: ["corpus"] }),
    );
    equal(await createDatabase(session, properties, { name: "corpus" }), []);
  }
  await using session = await openSession(to, { computesValues: true });
  const pre = await dumpSchema({ endpoint: from, tool, section: "pre-data" });
  const postData = await dumpSchema({ endpoint: from, tool, section: "post-data" });
  // one pg_dump for both sections divides where pg_dump itself does
  equal(await dumpSections({ endpoint: from, tool }), { preData: pre, postData });
  const post = classifyPostData(postData);
  for (
    const statements of [
      databaseSettingStatements(properties, { name: "corpus", late: false }),
      pre,
      post.settings,
      ...post.perTable.map(({ statements }) => statements),
      post.attach,
      post.foreignKeys,
      post.rest,
      post.eventTriggers,
      databasePropertyStatements(properties, { name: "corpus" }),
    ]
  ) {
    equal(await applyStatements(session, statements), []);
  }
}

/**
 * The dump's lines, sorted: pg_dump moves a column that a table had before it inherited, because it
 * writes it as inherited.
 */
const sortedLines = (text: string) =>
  text.split("\n").filter((line) => !/^-- Dumped (?:from|by)|^\\(?:un)?restrict/.test(line))
    .map((line) => line.replace(/,$/, "")).sort();

const runs = withRepeats(
  [[12, embedded], [15, native], [18, embedded]],
  [[12, native], [15, embedded], [18, native]],
);

for (const [major, tool] of runs) {
  if (tool === undefined || tool.major < major) continue;
  Deno.test(`the corpus of ${major} has the same schema when copied with the ${tool.kind} pg_dump`, async () => {
    await using source = await startTestCluster({ major });
    await using target = await startTestCluster({ major });
    await using admin = await openSession(
      await resolveEndpoint(source.url(), { side: "source" }),
    );
    await admin.execute("CREATE DATABASE corpus TEMPLATE template0");
    await loadCorpus(source, "corpus");
    await copySchema(source, target, tool);
    const [expected = "", actual = ""] = await Promise.all(
      [source, target].map(async (cluster) =>
        await dumpSchemaText({
          endpoint: withDatabase(
            await resolveEndpoint(cluster.url(), { side: "source" }),
            "corpus",
          ),
          tool: embedded,
        })
      ),
    );
    equal(sortedLines(actual), sortedLines(expected));
  });
}
