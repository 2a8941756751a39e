import { deepStrictEqual as equal } from "node:assert/strict";
import { type DumpStatement, splitSections } from "../../../lib/schema/internal.ts";

const search = { sql: "SELECT pg_catalog.set_config('search_path', '', false);" };
const fast = { sql: "SET default_tablespace = fast;" };
const none = { sql: "SET default_tablespace = '';" };
const heap = { sql: "SET default_table_access_method = heap;" };
const entry = (type: string, name: string): DumpStatement => ({
  sql: `${type} ${name};`,
  type,
  name,
  schema: "s",
});

Deno.test("splitSections() begins each section with the settings that its entries rely on", () => {
  const table = entry("TABLE", "t");
  const index = entry("INDEX", "t_index");
  const view = entry("MATERIALIZED VIEW", "v");
  equal(splitSections([search, fast, heap, table, index, none, view]), {
    preData: [search, fast, heap, table],
    postData: [search, fast, index, heap, none, view],
  });
  equal(splitSections([search]), { preData: [search], postData: [search] });
});

Deno.test("splitSections() keeps privileges with their objects, which pg_dump writes last", () => {
  const table = entry("TABLE", "t");
  const key = entry("CONSTRAINT", "t t_pkey");
  // both depend on the key
  const view = entry("MATERIALIZED VIEW", "v");
  const routine = entry("FUNCTION", "f(integer)");
  const ofTable = entry("ACL", "TABLE t");
  const ofView = entry("ACL", "TABLE v");
  const ofColumn = entry("ACL", "COLUMN v.id");
  const ofRoutine = entry("ACL", "FUNCTION f(integer)");
  const all = [ofTable, ofView, ofColumn, ofRoutine];
  equal(splitSections([table, key, view, routine, ...all]), {
    preData: [table, ofTable],
    postData: [key, view, routine, ofView, ofColumn, ofRoutine],
  });
  const defaults = entry("DEFAULT ACL", "DEFAULT PRIVILEGES FOR TABLES");
  const trigger = entry("EVENT TRIGGER", "e");
  const comment = entry("COMMENT", "EVENT TRIGGER e");
  equal(splitSections([table, ofTable, defaults, trigger, comment]), {
    preData: [table, ofTable],
    postData: [defaults, trigger, comment],
  });
});
