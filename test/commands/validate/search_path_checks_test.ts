import { deepStrictEqual } from "node:assert/strict";
import type { SearchPathUse } from "../../../lib/catalog/internal.ts";
import { checkSearchPath } from "../../../lib/commands/validate/search_path_checks.ts";

Deno.test("statements to run and other advice are divided by one semicolon", () => {
  const alter = "ALTER FUNCTION public.slug(text) SET search_path = public;";
  const called: SearchPathUse = {
    kind: "index",
    object: "public.i",
    table: undefined,
    routine: { signature: "public.slug(text)", alter, ofExtension: false },
    names: [{ name: "kinds", schemas: ["public"] }],
  };
  const query: SearchPathUse = {
    ...called,
    kind: "materialized view",
    object: "public.m",
    routine: undefined,
  };
  const fixes = (uses: readonly SearchPathUse[], targetMajor: number) =>
    checkSearchPath("app", uses, { targetMajor, forSync: false, ownPath: false })
      .map((check) => check.fix);
  const own =
    "or use --restore-search-path own, so that init computes under the database's own search_path";
  deepStrictEqual(fixes([called], 18), [`on the source: ${alter}`]);
  deepStrictEqual(fixes([called], 16), [`on the source: ${alter} ${own}`]);
  deepStrictEqual(fixes([called, query], 16), [
    `on the source: ${alter} recreate with qualified names in the string: public.m; ${own}`,
  ]);
});
