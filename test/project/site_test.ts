/** The parts of the documentation site: links, messages, navigation, and the picture. */
import { deepStrictEqual, match, ok, strictEqual, throws } from "node:assert/strict";
import { terminalSvg } from "../../scripts/picture/terminal_svg.ts";
import { rootPages, withSiteLinks } from "../../scripts/site/links.ts";
import { messagesIn, messagesPage } from "../../scripts/site/messages.ts";
import { groupPages } from "../../scripts/site/navigation.ts";
import { repository } from "../support/cli.ts";

Deno.test("links lead to pages of the site, schemas to files, and others to the repository", () => {
  const links = (text: string) =>
    withSiteLinks(text, {
      path: "docs/guides/a.md",
      repositoryUrl: "https://github.com/a/b",
      base: "/b/",
    });
  strictEqual(links("[x](b.md#c)"), "[x](b.md#c)");
  strictEqual(links("[x](../reference/o.md)"), "[x](../reference/o.md)");
  strictEqual(links("[x](../../SECURITY.md)"), "[x](../project/security-policy.md)");
  strictEqual(links("[x](../../README.md)"), "[x](../index.md)");
  strictEqual(links("[x](../reference/s.schema.json)"), "[x](/b/reference/s.schema.json)");
  strictEqual(links("![x](../images/d.svg)"), "![x](../images/d.svg)");
  strictEqual(links("[x](../../deploy)"), "[x](https://github.com/a/b/blob/main/deploy)");
  strictEqual(links("[x](https://x.y) [y](#z)"), "[x](https://x.y) [y](#z)");
});

Deno.test("messages are read with their remedies, with … for what varies", () => {
  const text = `
    throw new ReplicatorError(\`cannot open \${name({ a: 1 })}: \` + "closed", {
      remedy: "open it",
    });
    return { finding: \`\${text}\`, remedy: "is not listed: nothing to search for" };
    const a = { message: "x is wrong", details: [], remedy: \`set \${a}\${b} to <1>\` };
    remedy: undefined`;
  const found = messagesIn(text, "core");
  deepStrictEqual(found.map(({ message, remedy }) => [message, remedy]), [
    ["cannot open …: closed", "open it"],
    ["x is wrong", "set … to <1>"],
  ]);
  const page = messagesPage([{ message: "a <b> {{c}}", remedy: "d", folder: "copy" }]);
  match(page, /## Copying rows\n\n### a &#60;b&#62; &#123;&#123;c&#125;&#125;\n\n→ d\n/);
});

Deno.test("messages of the source code are found, without code of their templates", async () => {
  const text = await Deno.readTextFile(`${repository}lib/commands/demo/demo.ts`);
  const found = messagesIn(text, "commands");
  ok(found.length > 0);
  for (const { message, remedy } of found) ok(!/\$\{|\bawait\b/.test(message + remedy), message);
});

async function pages(folder: string): Promise<readonly string[]> {
  const found: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(`${repository}docs/${folder}`)) {
    if (isDirectory) found.push(...await pages(`${folder}${name}/`));
    else if (name.endsWith(".md")) found.push(`${folder}${name}`);
  }
  return found;
}

Deno.test("the navigation has every page once, and a new one in the group of its folder", async () => {
  const existing = [
    ...await pages(""),
    ...Object.values(rootPages).filter((path) => path !== "index.md"),
    "reference/messages.md",
    "guides/new.md",
  ];
  const groups = groupPages(existing);
  deepStrictEqual(
    groups.flatMap((group) => group.pages).toSorted(),
    existing.filter((path) => path !== "index.md").toSorted(),
  );
  ok(groups.find(({ title }) => title === "Guides")?.pages.includes("guides/new.md"));
  throws(() => groupPages(["guides/install.md"]), /do not exist: .*guides\/quickstart\.md/);
});

Deno.test("a terminal's lines become text of an SVG, with their colors", () => {
  const svg = terminalSvg(["\x1b[32m✓\x1b[39m a < b", "\x1b[1mbold\x1b[22m"], {
    title: 'T "x"',
    columns: 10,
  });
  match(svg, /<tspan fill="#56d364">✓<\/tspan> a &lt; b<\/text>/);
  match(svg, /<tspan font-weight="600">bold<\/tspan>/);
  match(svg, /aria-label="T &quot;x&quot;"/);
});
