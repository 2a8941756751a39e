import { deepStrictEqual, ok, rejects, strictEqual } from "node:assert/strict";
import { resolveEndpoint } from "../../../lib/postgres/internal.ts";
import {
  AddressGuard,
  AddressRefusedError,
  parseAddress,
  readAllowList,
  reasonToRefuse,
} from "../../../lib/remote/guard/mod.ts";

const refused = [
  "0.0.0.0",
  "10.0.0.1",
  "100.64.0.1",
  "127.0.0.1",
  "127.255.255.254",
  "169.254.169.254",
  "172.16.0.1",
  "172.31.255.255",
  "192.168.1.1",
  "192.0.0.8",
  "198.18.0.1",
  "224.0.0.1",
  "255.255.255.255",
  "168.63.129.16",
  "::",
  "::1",
  "::ffff:127.0.0.1",
  "::ffff:7f00:1",
  "::ffff:a9fe:a9fe",
  "::127.0.0.1",
  "::ffff:0:10.0.0.1",
  "64:ff9b::10.0.0.1",
  "64:ff9b::a9fe:a9fe",
  "64:ff9b:1::10.0.0.1",
  "2002:7f00:1::",
  "2002:a9fe:a9fe::1",
  "fe80::1",
  "fe80::1%eth0",
  "fc00::1",
  "fd00:ec2::254",
  "fec0::1",
  "ff02::1",
  "2001:db8::1",
  "2001::1",
  "100::1",
  "0:0:0:0:0:0:0:1",
];
for (const address of refused) {
  Deno.test(`the service does not connect to ${address}`, () => {
    const value = parseAddress(address);
    ok(value !== undefined);
    ok(reasonToRefuse(value) !== undefined);
  });
}

for (
  const address of [
    "1.1.1.1",
    "9.255.255.255",
    "11.0.0.0",
    "172.15.0.1",
    "172.32.0.1",
    "192.167.0.1",
    "223.255.255.255",
    "2606:4700::1111",
    "2a01:4f8::1",
    "::ffff:8.8.8.8",
    "64:ff9b::8.8.8.8",
    "2002:808:808::1",
  ]
) {
  Deno.test(`the service connects to ${address}`, () => {
    strictEqual(reasonToRefuse(parseAddress(address)!), undefined);
  });
}

for (
  const text of [
    "127.1",
    "0177.0.0.1",
    "0x7f.0.0.1",
    "2130706433",
    "127.0.0.1.",
    "1.2.3.256",
    ":::1",
    "1::2::3",
    "g::1",
    "1:2:3:4:5:6:7:8:9",
    "01.2.3.4",
    "::ffff:0177.0.0.1",
    "::ffff:0x7f.0.0.1",
    "::ffff:127.1",
    "::ffff:1.2.3.256",
    "",
  ]
) {
  Deno.test(`"${text}" is not an address`, () => strictEqual(parseAddress(text), undefined));
}

const endpoint = (url: string) => resolveEndpoint(url, { side: "source" });
const guard = (addresses: Record<string, readonly string[]>, allow: readonly string[] = []) =>
  new AddressGuard(readAllowList(allow).allow, (host) => {
    const found = addresses[host];
    return found === undefined ? Promise.reject(new Error("ENOTFOUND")) : Promise.resolve(found);
  });

Deno.test("a name is pinned to the addresses that were checked, and stays the name that TLS verifies", async () => {
  const pinned = await guard({ "db.example.com": ["8.8.8.8", "2606:4700::1"] })
    .pin(await endpoint("postgresql://u@db.example.com:6000/app"));
  deepStrictEqual(pinned.hosts, [
    { host: "db.example.com", port: 6000, addresses: ["8.8.8.8", "2606:4700::1"] },
  ]);
});

Deno.test("a name is rejected if any of its addresses is", async () => {
  await rejects(
    guard({ "db.example.com": ["8.8.8.8", "169.254.169.254"] }).pin(
      await endpoint("postgresql://u@db.example.com/app"),
    ),
    AddressRefusedError,
  );
});

Deno.test("every host of a URL is checked, including hostaddr", async () => {
  await rejects(
    guard({ a: ["8.8.8.8"] }).pin(await endpoint("postgresql://u@a,127.0.0.1/app")),
    AddressRefusedError,
  );
  await rejects(
    guard({ a: ["8.8.8.8"] }).pin(await endpoint("postgresql://u@a/app?hostaddr=10.0.0.1")),
    AddressRefusedError,
  );
});

Deno.test("a number that a resolver interprets as an address is checked as that address", async () => {
  await rejects(
    guard({ "127.1": ["127.0.0.1"] }).pin(await endpoint("postgresql://u@127.1/app")),
    AddressRefusedError,
  );
  await rejects(
    guard({ "2130706433": ["127.0.0.1"] }).pin(await endpoint("postgresql://u@2130706433/app")),
    AddressRefusedError,
  );
});

Deno.test("the operator's list can contain ranges and names", async () => {
  const list = ["10.1.0.0/16", "fd12::/16", "DB.internal"];
  const allowing = guard({ "db.internal": ["192.168.7.7"] }, list);
  for (const host of ["10.1.2.3", "[fd12::5]", "db.internal"]) {
    await allowing.pin(await endpoint(`postgresql://u@${host}/app`));
  }
  for (const host of ["10.2.0.1", "[::10.1.2.3]"]) {
    await rejects(allowing.pin(await endpoint(`postgresql://u@${host}/app`)), AddressRefusedError);
  }
  deepStrictEqual(readAllowList(["10.0.0.0/33", "a b", "1.2.3"]).problems.length, 3);
});

Deno.test("a name that does not resolve is reported as an unreachable server, not as a rejected address", async () => {
  await rejects(guard({}).pin(await endpoint("postgresql://u@nowhere.example/app")), {
    exitCode: 4,
  });
});
