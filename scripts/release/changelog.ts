/**
 * The section of a version in CHANGELOG.md, without its heading; that of unreleased changes if the
 * version has none yet.
 */
export function releaseNotes(changelog: string, version: string): string {
  const sections = changelog.split(/^## /m).slice(1);
  const section = sections.find((each) => each.startsWith(`[${version}]`)) ??
    sections.find((each) => each.startsWith("[Unreleased]"));
  if (section === undefined) throw new Error(`CHANGELOG.md has no section for ${version}`);
  return `${section.slice(section.indexOf("\n")).trim()}\n`;
}
