/** The archive of a platform on a release. */
export interface FormulaArchive {
  readonly platform: string;
  readonly url: string;
  readonly sha256: string;
}

const blocks = [
  { system: "on_macos", architectures: { on_arm: "macos-arm64", on_intel: "macos-x64" } },
  { system: "on_linux", architectures: { on_arm: "linux-arm64", on_intel: "linux-x64" } },
] as const;

/** The Homebrew formula of a release, with the platforms that were built. */
export function homebrewFormula(
  { version, repositoryUrl, archives }: {
    readonly version: string;
    readonly repositoryUrl: string;
    readonly archives: readonly FormulaArchive[];
  },
): string {
  const lines = blocks.flatMap(({ system, architectures }) => {
    const inner = Object.entries(architectures).flatMap(([architecture, platform]) => {
      const archive = archives.find((each) => each.platform === platform);
      return archive === undefined ? [] : [
        `    ${architecture} do`,
        `      url "${archive.url}"`,
        `      sha256 "${archive.sha256}"`,
        `    end`,
      ];
    });
    return inner.length === 0 ? [] : ["", `  ${system} do`, ...inner, "  end"];
  });
  return `class PostgresSerenReplicator < Formula
  desc "Moves live PostgreSQL databases from one server to another"
  homepage "${repositoryUrl}"
  version "${version}"
  license "Apache-2.0"
${lines.join("\n")}

  def install
    bin.install "bin/postgres-seren-replicator"
    man1.install "share/man/man1/postgres-seren-replicator.1"
    bash_completion.install "share/completions/postgres-seren-replicator.bash" => "postgres-seren-replicator"
    zsh_completion.install "share/completions/_postgres-seren-replicator"
    fish_completion.install "share/completions/postgres-seren-replicator.fish"
  end

  test do
    assert_match version.to_s, shell_output("#{bin}/postgres-seren-replicator --version")
  end
end
`;
}
