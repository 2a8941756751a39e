/** A group of pages in the sidebar, by their paths below `docs` or on the site. */
export interface NavigationGroup {
  readonly title: string;
  readonly pages: readonly string[];
}

/** The order in which a reader needs the pages. */
export const navigation: readonly NavigationGroup[] = [
  {
    title: "Start",
    pages: ["guides/quickstart.md", "guides/install.md", "guides/connections.md"],
  },
  {
    title: "Guides",
    pages: [
      "guides/offline-move.md",
      "guides/sync.md",
      "guides/cutover.md",
      "guides/cutover-clients.md",
      "guides/terabyte.md",
      "guides/verification.md",
      "guides/checkpoints.md",
      "guides/set-aside.md",
      "guides/status.md",
      "guides/cleanup.md",
      "guides/remote.md",
      "guides/operations.md",
    ],
  },
  {
    title: "Choosing",
    pages: ["guides/coming-from.md", "guides/comparison.md"],
  },
  {
    title: "Help",
    pages: ["guides/troubleshooting.md", "reference/messages.md", "project/support.md"],
  },
  {
    title: "Reference",
    pages: [
      "reference/options.md",
      "reference/configuration.md",
      "reference/exit-codes.md",
      "reference/formats.md",
      "guides/library.md",
      "guides/permissions.md",
    ],
  },
  {
    title: "Trust",
    pages: [
      "guides/security.md",
      "project/security-policy.md",
      "internals/testing.md",
      "internals/performance.md",
    ],
  },
  {
    title: "How it works",
    pages: [
      "internals/architecture.md",
      "internals/field-notes.md",
      "internals/dependencies.md",
      "project/contributing.md",
      "project/code-of-conduct.md",
      "project/changelog.md",
    ],
  },
];
