import { posix } from "node:path";

/** Pages of the repository's root that are part of the site, and where. */
export const rootPages: Readonly<Record<string, string>> = {
  "CHANGELOG.md": "project/changelog.md",
  "CODE_OF_CONDUCT.md": "project/code-of-conduct.md",
  "CONTRIBUTING.md": "project/contributing.md",
  "README.md": "index.md",
  "SECURITY.md": "project/security-policy.md",
  "SUPPORT.md": "project/support.md",
};

/** Where a file of the repository is on the site; undefined if it is not part of it. */
export function sitePath(path: string): string | undefined {
  if (path.startsWith("docs/")) return path.slice("docs/".length);
  return rootPages[path];
}

/**
 * The text of a page with links as the site needs them: between pages relative, to other files of
 * the repository on GitHub.
 *
 * @param path of the page in the repository
 */
export function withSiteLinks(
  text: string,
  { path, repositoryUrl, base }: {
    readonly path: string;
    readonly repositoryUrl: string;
    readonly base: string;
  },
): string {
  const own = sitePath(path) ?? path;
  return text.replaceAll(/\]\(([^)\s#]+)(#[^)\s]*)?\)/g, (whole, target: string, fragment = "") => {
    if (/^\w+:|^\//.test(target)) return whole;
    const file = posix.normalize(posix.join(posix.dirname(path), target)).replace(/\/$/, "");
    const page = sitePath(file);
    if (page === undefined) return `](${repositoryUrl}/blob/main/${file}${fragment})`;
    if (/\.(md|svg)$/.test(page)) {
      return `](${posix.relative(posix.dirname(own), page)}${fragment})`;
    }
    // a schema is served as it is; other files and folders are in the repository
    return page.endsWith(".json")
      ? `](${base}${page})`
      : `](${repositoryUrl}/blob/main/${file}${fragment})`;
  });
}
