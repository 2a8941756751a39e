import denoJson from "../../deno.json" with { type: "json" };
import importMap from "../../import_map.json" with { type: "json" };
import { repository } from "./cli.ts";
import { StaticServer } from "./static_server.ts";

/**
 * A JSR registry with one package: this repository as `deno publish` would upload it. Like JSR, it
 * rewrites bare specifiers according to the import map.
 */
export async function startJsrRegistry(): Promise<StaticServer> {
  const { name, version, exports } = denoJson;
  const files = await publishedFiles();
  const manifest: Record<string, { size: number; checksum: string }> = {};
  for (const [path, bytes] of files) {
    const hash = await crypto.subtle.digest("SHA-256", bytes);
    const checksum = `sha256-${new Uint8Array(hash).toHex()}`;
    manifest[path] = { size: bytes.length, checksum };
  }
  const [scope = "", short = ""] = name.slice(1).split("/");
  const answers = new Map<string, string | Uint8Array>([
    [
      `/${name}/meta.json`,
      JSON.stringify({ scope, name: short, latest: version, versions: { [version]: {} } }),
    ],
    [`/${name}/${version}_meta.json`, JSON.stringify({ manifest, exports })],
  ]);
  for (const [path, bytes] of files) answers.set(`/${name}/${version}${path}`, bytes);
  return new StaticServer((path) => Promise.resolve(answers.get(path)));
}

/** The files that `deno publish` lists, by path (`/mod.ts`). */
async function publishedFiles(): Promise<ReadonlyMap<string, Uint8Array<ArrayBuffer>>> {
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["publish", "--dry-run", "--allow-dirty", "--no-check"],
    cwd: repository,
    env: { NO_COLOR: "1" },
    stdout: "null",
  }).output();
  const text = new TextDecoder().decode(stderr);
  if (!success) throw new Error(text);
  const files = new Map<string, Uint8Array<ArrayBuffer>>();
  for (const [, url = ""] of text.matchAll(/^\s+(file:\/\/\S+) \(/gm)) {
    const path = decodeURIComponent(new URL(url).pathname);
    const relative = `/${path.slice(repository.length)}`;
    const source = await Deno.readFile(path);
    files.set(relative, relative.endsWith(".ts") ? withFullSpecifiers(source) : source);
  }
  return files;
}

function withFullSpecifiers(source: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const imports: Readonly<Record<string, string>> = importMap.imports;
  const text = new TextDecoder().decode(source)
    .replace(/(\bfrom\s+|\bimport\s+)"([^".][^"]*)"/g, (whole, keyword, specifier) => {
      const full = imports[specifier];
      return full === undefined ? whole : `${keyword}"${full}"`;
    });
  return new TextEncoder().encode(text);
}
