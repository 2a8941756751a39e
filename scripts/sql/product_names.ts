/**
 * Finds the names in the product's SQL.
 *
 * @module
 */
import { join } from "node:path";
import { literalsOf } from "./literals.ts";
import { namesIn, type SqlName, withNames } from "./names.ts";

/** A name and its position. */
export interface FoundName extends Omit<SqlName, "start"> {
  readonly path: string;
  readonly line: number;
}

/** Files whose SQL does not run on users' servers, or that contain no SQL. */
const exempt: readonly string[] = [
  "lib/cluster/", // starts servers used only by tests and the demo
  "lib/demo/", // represents a user's application, on the demo's own servers
  "lib/ui/", // contains CSS, not SQL
  "lib/remote/page/", // generated: the service's web page
];

/**
 * Finds the names in the SQL of `lib`: in every string or template that contains an SQL keyword in
 * capitals, a cast, or a name of PostgreSQL's. Excludes tests. Requires `--allow-read` of the
 * folder.
 */
export async function productNames(folder: string): Promise<readonly FoundName[]> {
  const found: FoundName[] = [];
  for await (const path of sources(folder, "lib")) {
    if (exempt.some((prefix) => path.startsWith(prefix))) continue;
    found.push(...namesOf(path, await Deno.readTextFile(join(folder, path))));
  }
  return found;
}

/** The names in the SQL of one file. */
export function namesOf(path: string, source: string): readonly FoundName[] {
  const literals = literalsOf(source).filter(({ text }) => looksLikeSql(text));
  // parts of a statement can refer to WITH queries of other parts
  const known = new Set(literals.flatMap(({ text }) => [...withNames(text)]));
  return literals.flatMap(({ text, offsets }) =>
    namesIn(text, known).map(({ start, ...name }) => ({
      ...name,
      path,
      line: source.slice(0, offsets[start]).split("\n").length,
    }))
  );
}

/** Matches parts of statements, down to a single call, but usually not prose. */
function looksLikeSql(text: string): boolean {
  return keyword.test(text) || call.test(text) || /::|\bpg_\w/.test(text);
}

const keyword =
  /\b(?:SELECT|FROM|WHERE|JOIN|AND|OR|AS|CASE|ORDER BY|IS|NOT|INTO|UPDATE|ALTER|CREATE|DROP|LOCK)\b/;

/** A name of several words, or a common one of a single word, followed by a parenthesis. */
const call =
  /\b(?:[a-z]+\d?(?:_[a-z]+)+|acldefault|coalesce|count|format|length|lower|m(?:ax|d5|in)|substr|sum|strpos|upper)\(/;

async function* sources(folder: string, path: string): AsyncGenerator<string> {
  for await (const { name, isDirectory } of Deno.readDir(join(folder, path))) {
    const inner = `${path}/${name}`;
    if (isDirectory) yield* sources(folder, inner);
    else if (name.endsWith(".ts") && !name.endsWith("_test.ts")) yield inner;
  }
}
