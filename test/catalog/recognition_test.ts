import { deepStrictEqual as equal } from "node:assert/strict";
import { relate } from "../../lib/catalog/server/system_identity.ts";
import { intermediaryByAddress } from "../../lib/catalog/server/intermediary.ts";
import { knowsLocale } from "../../lib/catalog/server/locales.ts";
import { recognizeProvider } from "../../lib/catalog/server/provider.ts";

const nothing = { hosts: [], settings: [], roles: [], databases: [], functions: [] };

Deno.test("recognizeProvider() uses settings, roles, databases and functions, and a host name only to decide", () => {
  const roles = ["rds_superuser", "supabase_admin"];
  const byHost = (host: string) => recognizeProvider({ ...nothing, hosts: [host], roles })?.id;
  equal(byHost("db.abc123.eu-west-1.rds.amazonaws.com"), "rds");
  equal(byHost("db.abc.supabase.co"), "supabase");
  equal(byHost("example.org"), "rds");
  for (
    const host of [
      "db.abc123.eu-west-1.rds.amazonaws.com",
      "ep-cool-name-123.eu-central-1.aws.neon.tech",
      "x.postgres.database.azure.com",
    ]
  ) {
    equal(recognizeProvider({ ...nothing, hosts: [host] }), undefined);
  }
  equal(
    recognizeProvider({ ...nothing, settings: ["cloudsql.iam_authentication"] })?.id,
    "cloud-sql",
  );
  equal(recognizeProvider({ ...nothing, settings: ["rds.extensions"] })?.name, "Amazon RDS");
  equal(
    recognizeProvider({ ...nothing, settings: ["rds.extensions"], functions: ["aurora_version"] })
      ?.id,
    "aurora",
  );
  equal(recognizeProvider({ ...nothing, databases: ["azure_maintenance"] })?.id, "azure");
  equal(recognizeProvider(nothing), undefined);
});

Deno.test("intermediaryByAddress() recognizes poolers and load balancers", () => {
  const at = (host: string, port = 5432) => intermediaryByAddress({ host, port });
  equal(at("ep-x-1-pooler.eu-central-1.aws.neon.tech"), "pooler");
  equal(at("ep-x-1.eu-central-1.aws.neon.tech"), undefined);
  equal(at("aws-0-eu-central-1.pooler.supabase.com"), "pooler");
  equal(at("lb-1.elb.eu-west-1.amazonaws.com"), "load-balancer");
  equal(at("LB-1.eu-west-1.elb.amazonaws.com"), "load-balancer");
  equal(at("db.example.org", 6432), "pooler");
  equal(at("db.example.org"), undefined);
});

Deno.test("relate() distinguishes clones from standbys", () => {
  const facts = {
    systemIdentifier: "7",
    database: "app",
    databaseOid: 16384,
    inRecovery: false,
    fingerprint: "a",
  };
  const standby = { ...facts, inRecovery: true };
  equal(relate(facts, facts, { sharesLocks: true }), "same-database");
  equal(relate(facts, { ...facts, databaseOid: 5 }, { sharesLocks: true }), "same-cluster");
  // restored from the same backup, now independent
  equal(relate(facts, facts, { sharesLocks: false }), "different");
  equal(relate(standby, facts, { sharesLocks: false }), "same-database");
  equal(relate(standby, { ...facts, systemIdentifier: "8" }, { sharesLocks: false }), "different");
  // neither identifier is readable
  const hidden = { ...facts, systemIdentifier: undefined };
  equal(relate({ ...hidden, inRecovery: true }, hidden, { sharesLocks: false }), "same-database");
  equal(
    relate({ ...hidden, inRecovery: true }, { ...hidden, fingerprint: "b" }, {
      sharesLocks: false,
    }),
    "different",
  );
  equal(relate(facts, facts, { sharesLocks: undefined }), "same-database");
});

Deno.test("knowsLocale() ignores the spelling of the encoding", () => {
  const locales = { libc: ["en_US.utf8", "de_DE"], hasIcu: false };
  equal(["en_US.UTF-8", "C", "POSIX", "de_DE"].every((name) => knowsLocale(locales, name)), true);
  equal(knowsLocale(locales, "fr_FR.UTF-8"), false);
});
