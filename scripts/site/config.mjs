// The configuration of VitePress, copied with settings.json by scripts/build_site.ts
import { defineConfig } from "vitepress";
import settings from "./settings.json" with { type: "json" };

export default defineConfig({
  title: "postgres-seren-replicator",
  description: "Moves live PostgreSQL databases from one server to another",
  lang: "en",
  base: settings.base,
  srcDir: "pages",
  outDir: settings.outDir,
  cleanUrls: true,
  // light and dark follow the reader's system; the button in the header overrides it
  appearance: true,
  // a dead link is an error
  ignoreDeadLinks: false,
  markdown: { theme: { light: "github-light", dark: "github-dark" } },
  themeConfig: {
    search: { provider: "local" },
    nav: settings.nav,
    sidebar: settings.sidebar,
    outline: [2, 3],
    socialLinks: [{ icon: "github", link: settings.repositoryUrl }],
    footer: { message: "Apache-2.0" },
  },
});
