/**
 * Checks that the product's SQL contains no unqualified names. Part of `deno task ok`;
 * `docs/guides/security.md` explains why.
 *
 * Requires `--allow-read=.`.
 *
 * @module
 */
import { productNames } from "./sql/product_names.ts";

/** Names that cannot be qualified, and why. */
const exceptions: readonly {
  readonly path: string;
  readonly name: string;
  readonly why: string;
}[] = [];

const isException = ({ path, name }: { readonly path: string; readonly name: string }) =>
  exceptions.some((exception) => exception.path === path && exception.name === name);

const names = await productNames(".");
const problems = names.filter((found) => found.schema === undefined && !isException(found));
for (const { path, line, kind, name } of problems) {
  console.error(`${path}:${line}: ${kind} ${name} is not qualified (pg_catalog.${name}?)`);
}
for (const { path, name } of exceptions) {
  if (names.some((found) => found.path === path && found.name === name)) continue;
  console.error(`${path}: the exception for ${name} is no longer needed`);
}
if (problems.length > 0) Deno.exit(1);
