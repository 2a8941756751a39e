import { strictEqual } from "node:assert/strict";
import { FailedAttempts, networkOf } from "../../../lib/remote/api/failed_attempts.ts";

Deno.test("an address that has failed too often is blocked for a while, and no other", () => {
  let now = 0;
  const failed = new FailedAttempts({ burst: 3, perSecond: 1, maxAddresses: 10 }, () => now);
  for (let i = 0; i < 3; i++) {
    strictEqual(failed.isExhausted("192.0.2.1"), false);
    failed.add("192.0.2.1");
  }
  strictEqual(failed.isExhausted("192.0.2.1"), true);
  strictEqual(failed.isExhausted("192.0.2.2"), false);
  now += 1_000;
  strictEqual(failed.isExhausted("192.0.2.1"), false);
  failed.add("192.0.2.1");
  strictEqual(failed.isExhausted("192.0.2.1"), true);
});

Deno.test("however many addresses fail, only a limited number is remembered: those that failed last", () => {
  const failed = new FailedAttempts({ burst: 1, perSecond: 0, maxAddresses: 100 });
  for (let i = 0; i < 10_000; i++) failed.add(`10.0.${i >> 8}.${i & 255}`);
  strictEqual(failed.size, 100);
  strictEqual(failed.isExhausted("10.0.39.15"), true);
  strictEqual(failed.isExhausted("10.0.0.1"), false);
});

Deno.test("addresses of one IPv6 network count together", () => {
  strictEqual(networkOf("2001:DB8:0:1::1"), "2001:db8:0:1");
  strictEqual(networkOf("2001:db8::1:2:3:4:5"), "2001:db8:0:1");
  strictEqual(networkOf("2001:0db8:0000:0001:ffff:ffff:ffff:ffff"), "2001:db8:0:1");
  strictEqual(networkOf("fe80::1%eth0"), "fe80:0:0:0");
  strictEqual(networkOf("::1"), "0:0:0:0");
  strictEqual(networkOf("::ffff:192.0.2.7"), "192.0.2.7");
  strictEqual(networkOf("192.0.2.7"), "192.0.2.7");
  strictEqual(networkOf(undefined), "unknown");
});
