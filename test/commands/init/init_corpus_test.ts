/**
 * `init` with everything that a database can contain: both sides are equal in every comparison.
 */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { CertificateAuthority } from "../../support/certificates.ts";
import type { Cluster, PgMajor } from "../../../lib/cluster/mod.ts";
import { copyCorpus, installedDumpMajor, loadCorpusFor } from "../../support/corpus_copy.ts";
import type { InitTestOptions } from "../../support/init.ts";
import { withRepeats } from "../../support/long.ts";
import { startTestCluster } from "../../support/test_cluster.ts";

/** The warnings that a copy between versions does not explain. */
function unexpected(warnings: readonly { readonly message: string }[]): readonly string[] {
  return warnings.map(({ message }) => message)
    .filter((message) =>
      !/connects as this role|bootstrap superuser|ANALYZE failed: could not connect to server/
        .test(message)
    );
}

async function equalAfter(
  source: Cluster,
  target: Cluster,
  options: InitTestOptions & { readonly params?: Record<string, string> },
): Promise<void> {
  const copy = await copyCorpus(source, target, options);
  deepStrictEqual(copy.differences, []);
  // since version 16 servers print views differently, and since 17 ALL includes MAINTAIN, so only
  // dumps of one version can be equal
  if (source.major === target.major) deepStrictEqual(copy.dumpDifferences, []);
  deepStrictEqual(unexpected(copy.report.warnings), []);
}

/** Every other pair of versions is copied by `deno task test:matrix`. */
const pairs = withRepeats<readonly [PgMajor, PgMajor]>([[12, 18]], [[18, 18]]);
const nativeMajor = await installedDumpMajor();

for (const [from, to] of pairs) {
  Deno.test(`the corpus is equal after init from ${from} to ${to}`, async () => {
    await using source = await startTestCluster({ major: from });
    await using target = await startTestCluster({ major: to });
    await loadCorpusFor(source, to);
    if (from !== to) await equalAfter(source, target, { copyFormat: "text" });
    await equalAfter(source, target, { copyFormat: "auto", splitBytes: 256 * 1024 });
  });
}

Deno.test("the corpus is equal after init from 15 to 15 over TLS with both names verified", async () => {
  const authority = await CertificateAuthority.create();
  const rootFile = await Deno.makeTempFile({ suffix: ".crt" });
  try {
    await Deno.writeTextFile(rootFile, authority.certPem);
    await using source = await startTestCluster({ major: 15, tls: await authority.server() });
    await using target = await startTestCluster({ major: 15, tls: await authority.server() });
    await loadCorpusFor(source, 15);
    await equalAfter(source, target, {
      params: { sslmode: "verify-full", sslrootcert: rootFile },
      ...(nativeMajor >= 15 ? { tools: nativeTools() } : {}),
    });
    strictEqual(source.major, 15);
  } finally {
    await Deno.remove(rootFile);
  }
});

function nativeTools() {
  return { dump: "native", binDirectory: undefined, environment: Deno.env.toObject() } as const;
}
