/**
 * The names in the SQL of the product.
 *
 * @module
 */
import { join } from "node:path";
import { literalsOf } from "./literals.ts";
import { namesIn, type SqlName, withNames } from "./names.ts";

/** A name and where it stands. */
export interface FoundName extends Omit<SqlName, "start"> {
  readonly path: string;
  readonly line: number;
}

/** What runs on no server of a user's, or holds no SQL. */
const exempt: readonly string[] = [
  "lib/cluster/", // starts servers that only tests and the demo see
  "lib/demo/", // an application of the demo's own servers, as somebody would write one
  "lib/ui/", // draws; its parentheses are CSS
  "lib/remote/page/", // the service's page, built
];

/**
 * Finds the names in the SQL of `lib`: in every string or template that has a word of SQL in
 * capitals, a cast, or a name of PostgreSQL's. Tests are left out. Requires `--allow-read` of the
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
  // pieces of a statement may speak of the WITH queries of another piece
  const known = new Set(literals.flatMap(({ text }) => [...withNames(text)]));
  return literals.flatMap(({ text, offsets }) =>
    namesIn(text, known).map(({ start, ...name }) => ({
      ...name,
      path,
      line: source.slice(0, offsets[start]).split("\n").length,
    }))
  );
}

/** Pieces of a statement count too, down to a single call; prose mostly does not. */
function looksLikeSql(text: string): boolean {
  return keyword.test(text) || call.test(text) || /::|\bpg_\w/.test(text);
}

const keyword =
  /\b(?:SELECT|FROM|WHERE|JOIN|AND|OR|AS|CASE|ORDER BY|IS|NOT|INTO|UPDATE|ALTER|CREATE|DROP|LOCK)\b/;

/** A name of several words, or a frequent one of one word, and its parenthesis. */
const call =
  /\b(?:[a-z]+\d?(?:_[a-z]+)+|acldefault|coalesce|count|format|length|lower|m(?:ax|d5|in)|substr|sum|strpos|upper)\(/;

async function* sources(folder: string, path: string): AsyncGenerator<string> {
  for await (const { name, isDirectory } of Deno.readDir(join(folder, path))) {
    const inner = `${path}/${name}`;
    if (isDirectory) yield* sources(folder, inner);
    else if (name.endsWith(".ts") && !name.endsWith("_test.ts")) yield inner;
  }
}
