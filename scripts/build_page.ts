/**
 * Builds `lib/remote/page/assets.ts` from `page/`: the service's page as strings, so that it is
 * available from source, from JSR and in the executable, which do not include `.css` and `.html`
 * files. Part of `deno task ok`, with `--check`.
 *
 * Requires `--allow-read`, `--allow-write` for that file (not with `--check`) and a temporary one,
 * `--allow-run=deno`.
 *
 * @module
 */
import { createHash } from "node:crypto";

const made = "lib/remote/page/assets.ts";
const uplot = "npm:uplot@1.6.32";

/** The page's script, including uPlot. */
async function bundle(): Promise<string> {
  const output = await Deno.makeTempFile({ suffix: ".js" });
  try {
    const { success, stderr } = await new Deno.Command("deno", {
      args: [
        ...[
          "bundle",
          "--quiet",
          "--lock=deno.lock",
          "--frozen",
          "--platform",
          "browser",
          "--minify",
        ],
        ...["--output", output, "page/main.ts"],
      ],
      stdout: "null",
      stderr: "piped",
    }).output();
    if (!success) throw new Error(new TextDecoder().decode(stderr));
    return await Deno.readTextFile(output);
  } finally {
    await Deno.remove(output);
  }
}

/** A file of the package, which bundling the script has loaded. */
async function uplotFile(path: string): Promise<string> {
  const entry = new URL(import.meta.resolve(uplot));
  const { success, stdout } = await new Deno.Command("deno", {
    args: ["info", "--json", "--lock=deno.lock", "--frozen", entry.href],
    stderr: "null",
  }).output();
  if (!success) throw new Error(`${uplot} is not installed: run deno install`);
  const { npmPackages } = JSON.parse(new TextDecoder().decode(stdout));
  const { localPath } = npmPackages["uplot@1.6.32"];
  return await Deno.readTextFile(`${localPath}/${path}`);
}

function hashed(name: string, content: string): string {
  const digest = createHash("sha256").update(content).digest("hex").slice(0, 12);
  return `/assets/${name.replace(".", `.${digest}.`)}`;
}

/** The licence goes where the code goes. */
async function assets(): Promise<{ path: string; type: string; content: string }[]> {
  const licence = `/*! ${uplot.slice(4)}\n\n${(await uplotFile("LICENSE")).trim()}\n*/\n`;
  const files = [
    { name: "app.js", type: "text/javascript", content: licence + await bundle() },
    {
      name: "app.css",
      type: "text/css",
      content: licence + (await uplotFile("dist/uPlot.min.css")).trim() + "\n" +
        await Deno.readTextFile("page/app.css"),
    },
    { name: "icon.svg", type: "image/svg+xml", content: await Deno.readTextFile("page/icon.svg") },
  ].map((file) => ({ ...file, path: hashed(file.name, file.content) }));
  const html = files.reduce(
    (text, { name, path }) => text.replace(`{{${name}}}`, path),
    await Deno.readTextFile("page/index.html"),
  );
  return [
    { path: "/", type: "text/html", content: html },
    ...files.map(({ path, type, content }) => ({ path, type, content })),
  ];
}

const text = `// deno-lint-ignore-file
/** A file of the page. */
export interface Asset {
  readonly path: string;
  readonly type: string;
  readonly content: string;
}

/**
 * Made by \`deno task page\` of what is in \`page/\`. The names in \`/assets/\` have a digest of
 * the content.
 */
export const assets: readonly Asset[] = ${JSON.stringify(await assets(), null, 2)};
`;

if (Deno.args.includes("--check")) {
  const there = await Deno.readTextFile(made).catch(() => "");
  if (there !== text) throw new Error(`${made} is not what page/ makes: deno task page`);
} else {
  await Deno.writeTextFile(made, text);
}
