import { deepStrictEqual, match, rejects, strictEqual } from "node:assert/strict";
import { sharedCluster } from "../support/clusters.ts";
import {
  type CutoverPair,
  prepareCutover,
  switchCutover,
  withCutoverPair,
} from "../support/cutover_pair.ts";
import { exec, query } from "../support/sql.ts";
import { runCutover } from "./run_program.ts";

const source = await sharedCluster(15);
const target = await sharedCluster(18);

const schema = `
  CREATE TABLE balance (id int PRIMARY KEY, amount int);
  SELECT lo_from_bytea(n, convert_to('object ' || n, 'UTF8')) FROM generate_series(1001, 1006) AS n;
  COMMENT ON LARGE OBJECT 1001 IS 'kept';`;

Deno.test("large objects that change after the copy are on the side that is opened, in both directions", async () => {
  await withCutoverPair({ source, target, schema }, async (pair) => {
    await prepareCutover(pair);
    await exec(
      pair.url,
      `SELECT lo_put(1001, 0, 'changed');
       SELECT lo_put(1002, 3000000, 'with a hole');
       SELECT lo_unlink(1003);
       SELECT lo_from_bytea(2001, decode(repeat('0a', 600000), 'hex')); SELECT lo_create(2002);
       COMMENT ON LARGE OBJECT 2001 IS 'new';
       SELECT lo_truncate(lo_open(1004, 131072), 2);`,
    );
    const { code, error } = await runCutover(inputOf(pair), {
      point: "end barrier 1",
      halts: true,
      act: () =>
        exec(
          pair.url,
          "SELECT lo_put(1005, 0, 'in the pause'); SELECT lo_create(2003); SELECT lo_unlink(1006)",
        ),
    });
    strictEqual(code, 0, error);
    const expected = await contents(pair.url);
    strictEqual(expected.length, 7);
    deepStrictEqual(await contents(pair.targetUrl), expected);
    await exec(pair.targetUrl, "SELECT lo_put(1001, 3, 'again'); SELECT lo_unlink(2002)");
    await switchCutover("rollback", pair);
    deepStrictEqual(await contents(pair.url), await contents(pair.targetUrl));
  });
});

Deno.test("a large object that is written while the side is being closed is named in the report", async () => {
  await withCutoverPair({ source, target, schema }, async (pair) => {
    await prepareCutover(pair);
    const { code, error, lines } = await runCutover(inputOf(pair), {
      point: "begin fence 1",
      halts: true,
      act: () => exec(pair.url, "SELECT lo_put(1002, 0, 'late')"),
    });
    strictEqual(code, 0, error);
    match(
      lines.join("\n"),
      /1 large object of \w+ changed on the closed side after the copy: 1002"/,
    );
  });
});

Deno.test("more large objects than can be compared in the pause are refused before anyone waits", async () => {
  const many = `${schema} SELECT lo_from_bytea(0, decode(repeat('ab', 800000), 'hex'))
    FROM generate_series(1, 200);`;
  await withCutoverPair({ source, target, schema: many }, async (pair) => {
    await prepareCutover(pair);
    await rejects(switchCutover("run", pair, { maxPauseMs: 400 }), (error: Error) => {
      match(error.message, /comparing 206 large objects takes .*; nothing was changed|is too slow/);
      return true;
    });
    await switchCutover("run", pair);
    deepStrictEqual(await contents(pair.targetUrl), await contents(pair.url));
  });
});

function inputOf(pair: CutoverPair) {
  return {
    command: "run",
    sourceUrl: pair.url,
    targetUrl: pair.targetUrl,
    databases: [pair.name],
    maxPauseMs: 20_000,
  } as const;
}

async function contents(url: string): Promise<readonly unknown[]> {
  return await query(
    url,
    `SELECT oid, md5(lo_get(oid)) AS digest, pg_get_userbyid(lomowner) AS owner,
            obj_description(oid, 'pg_largeobject') AS comment
       FROM pg_largeobject_metadata ORDER BY oid`,
  );
}
