import { strictEqual as equal, throws } from "node:assert/strict";
import { inlineParameters } from "../../../lib/postgres/session/inline_parameters.ts";

Deno.test("inlineParameters() replaces parameters, and nothing else", () => {
  equal(
    inlineParameters(`SELECT $2, '$1', "$1", a$1, $$ $1 $$ /* $1 */ FROM t WHERE x = $1 -- $1`, [
      `it's \\ $2`,
      7,
    ]),
    `SELECT '7' , '$1', "$1", a$1, $$ $1 $$ /* $1 */ FROM t WHERE x =  E'it''s \\\\ $2'  -- $1`,
  );
  equal(inlineParameters("SELECT $1,$2;\n", [null, true]), "SELECT  null , true ;\n");
});

Deno.test("inlineParameters() leaves possible multiple statements to the extended protocol", () => {
  equal(inlineParameters("SELECT $1; DROP TABLE t", [1]), undefined);
  equal(inlineParameters("SELECT $1 || 'open", [1]), undefined);
  equal(inlineParameters("SELECT $1 || ';'; -- end", [1]), "SELECT '1'  || ';'; -- end");
  throws(() => inlineParameters("SELECT $2", [1]), /no value for parameter \$2/);
});
