/** A package as `deno info --json` describes it. */
export interface InfoPackage {
  readonly name: string;
  readonly version: string;
  readonly dependencies: readonly string[];
  readonly localPath: string;
}

/** What `deno info --json` says about a module graph. */
export interface ModuleInfo {
  readonly modules: readonly { readonly npmPackage?: string }[];
  readonly npmPackages: Readonly<Record<string, InfoPackage>>;
}

/** What {@linkcode softwareBillOfMaterials} takes. */
export interface SbomInput {
  readonly version: string;
  readonly repositoryUrl: string;
  /** The version of the runtime. */
  readonly deno: string;
  readonly info: ModuleInfo;
  /** `npm` of deno.lock: the integrity of each package. */
  readonly locked: Readonly<Record<string, { readonly integrity: string }>>;
  /** The license that each package declares, by its id in `info`. */
  readonly licenses: Readonly<Record<string, string | undefined>>;
}

/**
 * The packages that the executable contains, with versions, hashes and dependencies, as CycloneDX
 * 1.6. The same input makes the same document.
 */
export function softwareBillOfMaterials(input: SbomInput): Record<string, unknown> {
  const { version, repositoryUrl, deno, info } = input;
  const ids = reachable(info);
  const own = `pkg:github/${new URL(repositoryUrl).pathname.slice(1)}@v${version}`;
  const runtime = `pkg:github/denoland/deno@v${deno}`;
  const refs = ids.map((id) => purl(info.npmPackages[id]!));
  return {
    $schema: "http://cyclonedx.org/schema/bom-1.6.schema.json",
    bomFormat: "CycloneDX",
    specVersion: "1.6",
    version: 1,
    metadata: {
      component: {
        type: "application",
        "bom-ref": own,
        name: "postgres-seren-replicator",
        version,
        purl: own,
        licenses: [{ license: { id: "Apache-2.0" } }],
        externalReferences: [{ type: "vcs", url: repositoryUrl }],
      },
    },
    components: [
      {
        type: "platform",
        "bom-ref": runtime,
        name: "deno",
        version: deno,
        purl: runtime,
        licenses: [{ license: { id: "MIT" } }],
      },
      ...ids.map((id) => component(id, input)),
    ],
    dependencies: [
      { ref: own, dependsOn: [runtime, ...refs] },
      { ref: runtime, dependsOn: [] },
      ...ids.map((id) => ({
        ref: purl(info.npmPackages[id]!),
        dependsOn: info.npmPackages[id]!.dependencies.map((each) => purl(info.npmPackages[each]!)),
      })),
    ],
  };
}

/** The packages of a module graph and what they depend on, in order. */
function reachable({ modules, npmPackages }: ModuleInfo): readonly string[] {
  const found = new Set(modules.flatMap(({ npmPackage }) => npmPackage ?? []));
  for (const id of found) {
    const { dependencies } = npmPackages[id] ?? {};
    if (dependencies === undefined) throw new Error(`deno info does not describe ${id}`);
    for (const each of dependencies) found.add(each);
  }
  return [...found].toSorted();
}

function purl({ name, version }: InfoPackage): string {
  return `pkg:npm/${name.replace(/^@/, "%40")}@${version}`;
}

function component(id: string, { info, locked, licenses }: SbomInput): Record<string, unknown> {
  const found = info.npmPackages[id]!;
  const integrity = locked[id]?.integrity;
  if (integrity === undefined) throw new Error(`deno.lock has no integrity for ${id}`);
  const license = licenses[id];
  return {
    type: "library",
    "bom-ref": purl(found),
    name: found.name,
    version: found.version,
    purl: purl(found),
    hashes: [{
      alg: "SHA-512",
      content: Uint8Array.fromBase64(integrity.replace("sha512-", "")).toHex(),
    }],
    ...(license === undefined ? {} : { licenses: [{ expression: license }] }),
  };
}
