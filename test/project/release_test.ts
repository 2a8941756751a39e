/**
 * The parts of `deno task release`: archives, checksums, lists of packages, and the installer.
 * `distribution_test.ts` runs the programs themselves.
 */
import {
  deepStrictEqual,
  doesNotMatch,
  match,
  ok,
  rejects,
  strictEqual,
  throws,
} from "node:assert/strict";
import { join } from "node:path";
import denoJson from "../../deno.json" with { type: "json" };
import { toolVersion } from "../../lib/core/internal.ts";
import { type ArchivedFile, gzippedTar } from "../../scripts/release/archive.ts";
import { bundleLock } from "../../scripts/release/bundle_lock.ts";
import { releaseNotes } from "../../scripts/release/changelog.ts";
import { homebrewFormula } from "../../scripts/release/formula.ts";
import { artefactName, platforms } from "../../scripts/release/platforms.ts";
import { softwareBillOfMaterials } from "../../scripts/release/sbom.ts";
import { selectTests } from "../../scripts/test_platform/select_tests.ts";
import { type CliOutcome, repository, runProgram } from "../support/cli.ts";
import { StaticServer } from "../support/static_server.ts";

const program = "postgres-seren-replicator";
const encoder = new TextEncoder();

async function sha256(bytes: Uint8Array): Promise<string> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes as BufferSource)).toHex();
}

async function withFolder<T>(use: (folder: string) => Promise<T>): Promise<T> {
  const folder = await Deno.makeTempDir({ prefix: "psr-release-" });
  try {
    return await use(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** The files of an archive of a release, with a shell script instead of the program. */
const releasedFiles: readonly ArchivedFile[] = [
  {
    path: `${program}/bin/${program}`,
    content: encoder.encode("#!/bin/sh\necho 9.8.7\n"),
    executable: true,
  },
  ...[
    `man/man1/${program}.1`,
    `completions/${program}.bash`,
    `completions/_${program}`,
    `completions/${program}.fish`,
  ].map((name) => ({ path: `${program}/share/${name}`, content: encoder.encode(name) })),
];

/** The archive of this machine, as `install.sh` names it. */
const archiveName = artefactName(
  platforms.find(({ triple }) => triple === Deno.build.target) ?? platforms[0]!,
);

/** Serves a release and runs `install.sh` in a clean environment. */
async function install(
  files: Readonly<Record<string, string | Uint8Array>>,
  use: (outcome: CliOutcome, prefix: string) => Promise<void>,
): Promise<void> {
  await using server = new StaticServer((path) => Promise.resolve(files[path.slice(1)]));
  await withFolder(async (home) => {
    const outcome = await runProgram("sh", [`${repository}deploy/install.sh`], {
      env: {
        HOME: home,
        PATH: "/usr/bin:/bin",
        SEREN_RELEASE_URL: server.url.replace(/\/$/, ""),
      },
    });
    await use(outcome, join(home, ".local"));
  });
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}

Deno.test("install.sh installs the program, its manual page and completions", async () => {
  const archive = await gzippedTar(releasedFiles);
  const files = {
    [archiveName]: archive,
    SHA256SUMS: `${"0".repeat(64)}  other.tar.gz\n${await sha256(archive)}  ${archiveName}\n`,
  };
  await install(files, async ({ code, stdout, stderr }, prefix) => {
    strictEqual(code, 0, stderr);
    match(stdout, /Installed postgres-seren-replicator 9\.8\.7 in .*\.local\/bin\n/);
    match(stdout, /export PATH=/);
    const installed = await runProgram(join(prefix, "bin", program), ["--version"], { env: {} });
    strictEqual(installed.stdout, "9.8.7\n");
    for (
      const file of [
        `man/man1/${program}.1`,
        `bash-completion/completions/${program}`,
        `zsh/site-functions/_${program}`,
        `fish/vendor_completions.d/${program}.fish`,
      ]
    ) ok(await exists(join(prefix, "share", file)), file);
  });
});

Deno.test("install.sh installs nothing if the checksum differs, is missing, or the download fails", async () => {
  const archive = await gzippedTar(releasedFiles);
  const sum = await sha256(archive);
  const changed = archive.slice();
  changed[changed.length - 1]! ^= 1;
  const cases: readonly [RegExp, Readonly<Record<string, string | Uint8Array>>][] = [
    [
      /the checksum of .* expected [0-9a-f]{64}; nothing was installed/,
      { [archiveName]: changed, SHA256SUMS: `${sum}  ${archiveName}\n` },
    ],
    [
      /SHA256SUMS does not list .*; nothing was installed/,
      { [archiveName]: archive, SHA256SUMS: `${sum}  other.tar.gz\n` },
    ],
    [/cannot download .*tar\.gz/, { SHA256SUMS: `${sum}  ${archiveName}\n` }],
  ];
  for (const [message, files] of cases) {
    await install(files, async ({ code, stderr }, prefix) => {
      strictEqual(code, 1);
      match(stderr, message);
      ok(!await exists(prefix));
    });
  }
});

Deno.test("an archive is reproducible, and tar reads its names, modes and contents", async () => {
  const archive = await gzippedTar(releasedFiles);
  deepStrictEqual(archive, await gzippedTar(releasedFiles));
  await withFolder(async (folder) => {
    await Deno.writeFile(join(folder, "a.tar.gz"), archive);
    const { code, stderr } = await runProgram("tar", ["-xzf", "a.tar.gz"], {
      env: { PATH: "/usr/bin:/bin" },
      cwd: folder,
    });
    strictEqual(code, 0, stderr);
    for (const { path, content, executable = false } of releasedFiles) {
      deepStrictEqual(await Deno.readFile(join(folder, path)), content);
      strictEqual((await Deno.stat(join(folder, path))).mode! & 0o777, executable ? 0o755 : 0o644);
    }
  });
  await rejects(
    gzippedTar([{ path: "x".repeat(101), content: new Uint8Array() }]),
    /the path is too long/,
  );
});

Deno.test("the SBOM lists what a module graph reaches, with hashes, licenses and dependencies", () => {
  const found = (name: string, dependencies: readonly string[] = []) => ({
    name,
    version: "1.0.0",
    dependencies,
    localPath: "",
  });
  const input = {
    version: "0.1.0",
    repositoryUrl: "https://github.com/seren/postgres-seren-replicator",
    deno: "2.9.6",
    info: {
      modules: [{}, { npmPackage: "@a/b@1.0.0" }],
      npmPackages: {
        "@a/b@1.0.0": found("@a/b", ["c@1.0.0"]),
        "c@1.0.0": found("c"),
        "tests-only@1.0.0": found("tests-only"),
      },
    },
    locked: { "@a/b@1.0.0": { integrity: "sha512-AQI=" }, "c@1.0.0": { integrity: "sha512-AwQ=" } },
    licenses: { "@a/b@1.0.0": "MIT" },
  };
  const bill = softwareBillOfMaterials(input) as unknown as {
    readonly bomFormat: string;
    readonly specVersion: string;
    readonly version: number;
    readonly components: readonly Readonly<Record<string, unknown>>[];
    readonly dependencies: readonly { readonly dependsOn: readonly string[] }[];
  };
  deepStrictEqual([bill.bomFormat, bill.specVersion, bill.version], ["CycloneDX", "1.6", 1]);
  deepStrictEqual(bill.components.map(({ name }) => name), ["deno", "@a/b", "c"]);
  deepStrictEqual(bill.components[1], {
    type: "library",
    "bom-ref": "pkg:npm/%40a/b@1.0.0",
    name: "@a/b",
    version: "1.0.0",
    purl: "pkg:npm/%40a/b@1.0.0",
    hashes: [{ alg: "SHA-512", content: "0102" }],
    licenses: [{ expression: "MIT" }],
  });
  const refs = new Set(bill.components.map((each) => each["bom-ref"]));
  for (const { dependsOn } of bill.dependencies) {
    for (const ref of dependsOn) ok(refs.has(ref), ref);
  }
  throws(() => softwareBillOfMaterials({ ...input, locked: {} }), /no integrity for @a\/b@1\.0\.0/);
});

Deno.test("the Homebrew formula names the archives that were built, with their checksums", () => {
  const formula = homebrewFormula({
    version: "1.2.3",
    repositoryUrl: "https://github.com/a/b",
    archives: [
      { platform: "macos-arm64", url: "https://x/m.tar.gz", sha256: "a1" },
      { platform: "linux-x64", url: "https://x/l.tar.gz", sha256: "b2" },
    ],
  });
  match(formula, /on_macos do\n {4}on_arm do\n {6}url "https:\/\/x\/m\.tar\.gz"\n {6}sha256 "a1"/);
  match(
    formula,
    /on_linux do\n {4}on_intel do\n {6}url "https:\/\/x\/l\.tar\.gz"\n {6}sha256 "b2"/,
  );
  strictEqual(formula.match(/\bdo$/gm)?.length, formula.match(/^ +end$/gm)!.length - 1); // and def
});

Deno.test("the lock file of the bundle has its hash, and the package that it loads with dependencies", async () => {
  const lock = JSON.parse(await Deno.readTextFile(`${repository}deno.lock`));
  const url = "https://example.com/cli.js";
  const specifier = Object.keys(lock.specifiers).find((each) => each.includes("pglite-tools"))!;
  const made = JSON.parse(bundleLock({ url, sha256: "ab", specifier, lock }));
  deepStrictEqual(made.remote, { [url]: "ab" });
  deepStrictEqual(Object.keys(made.specifiers), [specifier]);
  deepStrictEqual(
    Object.keys(made.npm).map((id) => id.replace(/(?<=.)@.*/, "")),
    ["@electric-sql/pglite-tools", "@electric-sql/pglite"],
  );
});

Deno.test("the notes of a release are its section of the changelog", () => {
  const log = "# C\n\n## [Unreleased]\n\n- new\n\n## [0.1.0] - 2026-01-01\n\n- first\n";
  strictEqual(releaseNotes(log, "0.1.0"), "- first\n");
  strictEqual(releaseNotes(log, "0.2.0"), "- new\n");
});

Deno.test("the version of the library is that of deno.json", () => {
  strictEqual(toolVersion, denoJson.version);
});

Deno.test("tests are chosen by the servers of a platform", async () => {
  const files: Readonly<Record<string, string>> = {
    "test/a_test.ts":
      'import { sharedCluster } from "./support/clusters.ts";\nawait sharedCluster(12);',
    "test/b_test.ts":
      'import { sharedCluster } from "./support/clusters.ts";\nawait sharedCluster(17);',
    "test/c_test.ts": 'import { run } from "./support/cli.ts";',
    "test/d_test.ts": 'import "node:path";',
    "test/support/clusters.ts": 'import { startCluster } from "../../lib/cluster/cluster.ts";',
  };
  const chosen = async (...majors: readonly number[]) => {
    const { selected, leftOut } = await selectTests(
      Object.keys(files).filter((path) => path.endsWith("_test.ts")),
      { majors, readFile: (path) => Promise.resolve(files[path]) },
    );
    return [selected.map((path) => path[5]).join(""), leftOut.map(({ reason }) => reason)];
  };
  deepStrictEqual(await chosen(12, 17), ["abcd", []]);
  deepStrictEqual(await chosen(15, 17), ["bcd", ["needs PostgreSQL 12"]]);
  deepStrictEqual(await chosen(), [
    "d",
    ["needs a server", "needs a server", "starts other programs"],
  ]);
});

Deno.test("the container image runs the program as a user without privileges, and has no shell", async () => {
  const text = await Deno.readTextFile(`${repository}deploy/Containerfile`);
  match(text, /^FROM gcr\.io\/distroless\/\S+:nonroot$/m);
  match(text, /^USER 65532:65532$/m);
  match(text, /^ENTRYPOINT \["/m);
  doesNotMatch(text, /^RUN /m);
  match(text, /^COPY --chmod=0755 dist\/image\/\$\{TARGETARCH\}\/postgres-seren-replicator /m);
});
