import { groupPages } from "./navigation.ts";

/** What the configuration depends on. */
export interface SiteSettings {
  /** The path under which the site is served. */
  readonly base: string;
  readonly repositoryUrl: string;
  /** The folder that the site is written to, absolute. */
  readonly outDir: string;
  /** The titles of the pages, by their paths. */
  readonly titles: ReadonlyMap<string, string>;
}

/** The configuration of VitePress, as plain data. */
export function siteConfig({ base, repositoryUrl, outDir, titles }: SiteSettings): unknown {
  return {
    title: "postgres-seren-replicator",
    description: "Moves live PostgreSQL databases from one server to another",
    lang: "en",
    base,
    srcDir: "pages",
    outDir,
    cleanUrls: true,
    // follows the reader's system; a button in the header overrides it
    appearance: true,
    ignoreDeadLinks: false,
    markdown: { theme: { light: "github-light", dark: "github-dark" } },
    themeConfig: {
      search: { provider: "local" },
      nav: [
        { text: "Quickstart", link: "/guides/quickstart" },
        { text: "Options", link: "/reference/options" },
        { text: "Troubleshooting", link: "/guides/troubleshooting" },
      ],
      sidebar: groupPages([...titles.keys()]).map(({ title, pages }) => ({
        text: title,
        items: pages.map((path) => ({
          text: titles.get(path),
          link: `/${path.replace(/\.md$/, "")}`,
        })),
      })),
      outline: [2, 3],
      socialLinks: [{ icon: "github", link: repositoryUrl }],
      footer: { message: "Apache-2.0" },
    },
  };
}
