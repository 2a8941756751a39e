import { deepStrictEqual, strictEqual, throws } from "node:assert/strict";
import fc from "fast-check";
import {
  compareLsn,
  formatLsn,
  lsnDistance,
  parseLsn,
  parseOptionalLsn,
} from "../../lib/core/lsn.ts";

const lsns = fc.bigInt({ min: 0n, max: (1n << 64n) - 1n });

Deno.test("parseLsn() reads what formatLsn() and PostgreSQL write", () => {
  strictEqual(parseLsn("16/B374D848"), 0x16_b374_d848n);
  strictEqual(parseLsn("0/0"), 0n);
  strictEqual(formatLsn(0x16_0000_0048n), "16/48");
  strictEqual(parseLsn("16/00000048"), parseLsn("16/48"));
  fc.assert(fc.property(lsns, (lsn) => strictEqual(parseLsn(formatLsn(lsn)), lsn)));
});

Deno.test("parseLsn() rejects an invalid position", () => {
  for (const text of ["", "16", "16/", "/1", "16/123456789", "0x1/2", "1/2/3", " 1/2"]) {
    throws(() => parseLsn(text), RangeError);
  }
  deepStrictEqual([null, "0/0", "0/1"].map(parseOptionalLsn), [undefined, undefined, 1n]);
});

Deno.test("lsnDistance() and compareLsn() agree", () => {
  strictEqual(lsnDistance(parseLsn("0/FFFFFFFF"), parseLsn("1/0")), 1);
  strictEqual(lsnDistance(parseLsn("1/0"), parseLsn("0/FFFFFFFF")), -1);
  fc.assert(
    fc.property(lsns, lsns, (a, b) => {
      strictEqual(Math.sign(lsnDistance(b, a)), compareLsn(a, b));
      strictEqual(compareLsn(a, b), -compareLsn(b, a) + 0);
    }),
  );
});
