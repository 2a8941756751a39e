/** A group of pages in the sidebar. */
export interface NavigationGroup {
  readonly title: string;
  /** Their paths below `docs` or on the site, in order. */
  readonly pages: readonly string[];
  /** The folder whose other pages follow these. */
  readonly rest?: string;
}

/** The order in which a reader needs the pages. */
export const navigation: readonly NavigationGroup[] = [
  {
    title: "Start",
    pages: ["guides/quickstart.md", "guides/install.md", "guides/connections.md"],
  },
  {
    title: "Guides",
    rest: "guides/",
    pages: [
      "guides/offline-move.md",
      "guides/sync.md",
      "guides/cutover.md",
      "guides/cutover-clients.md",
      "guides/terabyte.md",
      "guides/verification.md",
      "guides/checkpoints.md",
      "guides/set-aside.md",
      "guides/statistics.md",
      "guides/status.md",
      "guides/cleanup.md",
      "guides/remote.md",
      "guides/operations.md",
    ],
  },
  {
    title: "Providers",
    rest: "providers/",
    pages: ["providers/README.md"],
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
    rest: "reference/",
    pages: [
      "reference/options.md",
      "reference/configuration.md",
      "reference/exit-codes.md",
      "reference/formats.md",
      "reference/events.md",
      "reference/metrics.md",
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
    rest: "internals/",
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

/**
 * The groups with every page of the site: those that no group names follow in the group of their
 * folder. Throws an `Error` if a group names a page that does not exist.
 */
export function groupPages(existing: readonly string[]): readonly NavigationGroup[] {
  const named = navigation.flatMap(({ pages }) => pages);
  const unknown = named.filter((path) => !existing.includes(path));
  if (unknown.length > 0) {
    throw new Error(
      `scripts/site/navigation.ts names pages that do not exist: ${unknown.join(", ")}`,
    );
  }
  const others = existing.filter((path) => path !== "index.md" && !named.includes(path)).toSorted();
  return navigation.map((group) => {
    const { rest } = group;
    const more = rest === undefined ? [] : others.filter((path) => path.startsWith(rest));
    return { ...group, pages: [...group.pages, ...more] };
  });
}
