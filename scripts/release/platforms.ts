/** A platform that executables are built for. */
export interface Platform {
  /** As in the names of the files: `linux-x64`. */
  readonly name: string;
  /** As `deno compile --target` names it. */
  readonly triple: string;
  /** As container images name the architecture, for those on Linux. */
  readonly imageArchitecture?: string;
}

/** Every platform of a release. */
export const platforms: readonly Platform[] = [
  { name: "linux-x64", triple: "x86_64-unknown-linux-gnu", imageArchitecture: "amd64" },
  { name: "linux-arm64", triple: "aarch64-unknown-linux-gnu", imageArchitecture: "arm64" },
  { name: "macos-x64", triple: "x86_64-apple-darwin" },
  { name: "macos-arm64", triple: "aarch64-apple-darwin" },
  { name: "windows-x64", triple: "x86_64-pc-windows-msvc" },
];

/** The file of a platform: an archive, or on Windows the program itself. */
export function artefactName(platform: Platform): string {
  const extension = platform.name.startsWith("windows") ? "exe" : "tar.gz";
  return `postgres-seren-replicator-${platform.name}.${extension}`;
}
