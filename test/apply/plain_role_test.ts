import { deepStrictEqual, match, rejects, strictEqual } from "node:assert/strict";
import { openSession } from "../../lib/postgres/internal.ts";
import { findRoleRights } from "../../lib/replication/internal.ts";
import { ClientApplier } from "../../lib/replication/client_applier.ts";
import { createClientStream, endClientStream, RunningApplier } from "../support/client_stream.ts";
import { sharedCluster } from "../support/clusters.ts";
import { createDatabase } from "../support/databases.ts";
import { endpointOf } from "../support/init.ts";
import { compareRows, drain } from "../support/replicated.ts";
import { exec, query } from "../support/sql.ts";

const clusters = { 12: await sharedCluster(12), 18: await sharedCluster(18) };

const schema = `
  CREATE TABLE parent (id int PRIMARY KEY, v text);
  CREATE TABLE child (id int PRIMARY KEY, parent int NOT NULL REFERENCES parent, self int REFERENCES child);
  CREATE TABLE owned (id int PRIMARY KEY, parent int CONSTRAINT "cascading key" REFERENCES parent ON DELETE CASCADE,
                      other int REFERENCES parent ON DELETE SET NULL DEFERRABLE);
  COMMENT ON CONSTRAINT "cascading key" ON owned IS 'it''s a comment';
  CREATE TABLE log (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, what text);
  CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO public.log (what) VALUES (TG_OP || ' ' || NEW.id); RETURN NEW; END $$;
  CREATE TRIGGER "Note it" AFTER INSERT OR UPDATE ON parent FOR EACH ROW EXECUTE FUNCTION note();
  CREATE RULE keep AS ON DELETE TO log DO INSTEAD NOTHING;
  CREATE TABLE part (id int PRIMARY KEY, parent int REFERENCES parent) PARTITION BY RANGE (id);
  CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (0) TO (100);
  CREATE TABLE part_2 PARTITION OF part FOR VALUES FROM (100) TO (200);
  CREATE TABLE split (id int PRIMARY KEY, parent int CONSTRAINT "split key" REFERENCES parent ON DELETE CASCADE)
    PARTITION BY RANGE (id);
  CREATE TABLE split_1 PARTITION OF split FOR VALUES FROM (0) TO (100);
  CREATE TABLE split_2 PARTITION OF split FOR VALUES FROM (100) TO (200) PARTITION BY RANGE (id);
  CREATE TABLE split_2a PARTITION OF split_2 FOR VALUES FROM (100) TO (200);
  COMMENT ON CONSTRAINT "split key" ON split IS 'of all';
  -- fires for rows of its partitions
  CREATE TRIGGER "Note each" AFTER INSERT OR UPDATE ON split FOR EACH ROW EXECUTE FUNCTION note();
  COMMENT ON TRIGGER "Note each" ON split IS 'noted';
  CREATE TRIGGER "Note all" AFTER INSERT ON split EXECUTE FUNCTION note();
  CREATE TABLE open (id int PRIMARY KEY, parent int REFERENCES parent) PARTITION BY RANGE (id);
  CREATE TABLE open_1 PARTITION OF open FOR VALUES FROM (0) TO (100);
  CREATE TABLE late (id int PRIMARY KEY, parent int REFERENCES parent DEFERRABLE INITIALLY DEFERRED);
  CREATE TABLE refers (id int PRIMARY KEY, split int REFERENCES split ON DELETE CASCADE);`;

const objects = `
  SELECT json_agg(o ORDER BY o) AS objects FROM (
    SELECT format('%s %s %s %s %s %s %s', conrelid::regclass, conname, pg_get_constraintdef(oid), convalidated,
                  condeferred, obj_description(oid), conparentid <> 0) AS o
      FROM pg_constraint AS k
     WHERE contype = 'f'
       -- VALIDATE leaves those of a referenced table's partitions NOT VALID, which has no effect
       AND NOT EXISTS (SELECT FROM pg_constraint AS above WHERE above.oid = k.conparentid AND above.conrelid = k.conrelid)
    UNION ALL SELECT format('%s %s %s %s', tgrelid::regclass, tgname, tgenabled, obj_description(oid))
      FROM pg_trigger WHERE NOT tgisinternal
    UNION ALL SELECT format('%s %s %s', ev_class::regclass, rulename, ev_enabled)
      FROM pg_rewrite WHERE ev_class::regclass::text = 'log') AS s`;

const changes = `
  INSERT INTO parent SELECT n, 'v' FROM generate_series(1, 20) AS n;
  -- a row that refers to a later one of the same statement
  INSERT INTO child SELECT n, n, CASE WHEN n < 10 THEN n + 1 END FROM generate_series(1, 10) AS n;
  INSERT INTO owned SELECT n, n, 20 FROM generate_series(1, 10) AS n;
  INSERT INTO part SELECT n, 1 + n % 3 FROM generate_series(10, 190, 10) AS n;
  INSERT INTO split SELECT n, 1 + n % 3 FROM generate_series(10, 190, 10) AS n;
  INSERT INTO refers SELECT n, n FROM generate_series(10, 190, 10) AS n;
  DELETE FROM split WHERE id = 150;
  UPDATE parent SET v = 'w' WHERE id = 3;
  BEGIN; UPDATE child SET self = NULL WHERE self = 5; DELETE FROM child WHERE parent = 5; DELETE FROM part WHERE parent = 5;
         DELETE FROM parent WHERE id IN (5, 20); COMMIT;
  UPDATE part SET id = id + 105 WHERE id = 50;
  DROP RULE keep ON log; DELETE FROM log WHERE id = 1`;

for (const [from, to] of [[12, 18], [18, 12]] as const) {
  Deno.test(`a role that may not set session_replication_role applies each change once (${from} to ${to})`, async () => {
    await using source = await createDatabase(clusters[from], schema);
    const role = `plain_${crypto.randomUUID().slice(0, 8)}`;
    await exec(clusters[to].url(), `CREATE ROLE ${role} LOGIN`);
    try {
      await using target = await createDatabase(
        clusters[to],
        "",
        `TEMPLATE template0 OWNER ${role}`,
      );
      await exec(target.url, `GRANT ALL ON SCHEMA public TO ${role}`);
      const url = target.urlFor({ user: role });
      await exec(url, schema);
      // what it contains is not as on the source
      await exec(url, "CREATE TABLE open_2 PARTITION OF open FOR VALUES FROM (100) TO (200)");
      const before = await query(url, objects);
      const stream = await createClientStream(source.url, url);
      try {
        {
          await using applier = new RunningApplier(stream);
          await exec(source.url, changes);
          await exec(
            source.url,
            `BEGIN; INSERT INTO refers VALUES (1000, 10); UPDATE refers SET split = 20; TRUNCATE refers; COMMIT;
             BEGIN; INSERT INTO child VALUES (1000, 1); TRUNCATE child; INSERT INTO child VALUES (1001, 1); COMMIT;
             BEGIN; INSERT INTO late VALUES (1, 999); TRUNCATE refers; INSERT INTO parent VALUES (999); COMMIT`,
          );
          await Promise.race([drain(source.url), applier.ended]);
          match(
            applier.messages.join("\n"),
            /deferred: .*foreign key child_parent_fkey of public\.child.*disabled: .*rule keep of public\.log.*trigger "Note it" of public\.parent/s,
          );
          match(
            applier.messages.join("\n"),
            /dropped: foreign key "cascading key" of public\.owned.*foreign key open_parent_fkey of public\.open/,
          );
        }
        await compareRows(source.url, url);
        // a session of the application, whose rows the source does not have
        await rejects(exec(url, "INSERT INTO child VALUES (1000, 1000)"), /violates foreign key/);
        await using session = await openSession(await endpointOf(url, "target"));
        const handle = new ClientApplier(session, { name: stream.name });
        await handle.stop();
        // what had been dropped is not validated yet, but checks new rows
        await rejects(exec(url, "INSERT INTO owned VALUES (1000, 1000)"), /"cascading key"/);
        await exec(url, "SELECT setval(pg_get_serial_sequence('log', 'id'), 1000)");
        for (const id of [1, 101]) {
          await rejects(exec(url, `INSERT INTO split VALUES (${id}, 1000)`), /"split key"/);
        }
        const [unchecked] = await query(
          url,
          `SELECT string_agg(conrelid::regclass::text, ' ' ORDER BY conrelid::regclass::text) AS tables
             FROM pg_constraint WHERE conname = 'split key' AND NOT convalidated`,
        );
        strictEqual(unchecked!["tables"], "split_1 split_2a");
        await handle.start();
        {
          await using applier = new RunningApplier(stream);
          await exec(
            source.url,
            "INSERT INTO owned VALUES (11, 11); DELETE FROM parent WHERE id = 11",
          );
          await Promise.race([drain(source.url), applier.ended]);
        }
        await compareRows(source.url, url);
        await handle.remove({ restoreIdentities: true });
        deepStrictEqual(await query(url, objects), before);
        const [schemas] = await query(
          url,
          "SELECT count(*)::int AS n FROM pg_namespace WHERE nspname = 'seren_apply'",
        );
        strictEqual(schemas!["n"], 0);
      } finally {
        await endClientStream(stream);
      }
    } finally {
      await exec(clusters[to].url(), `DROP ROLE ${role}`);
    }
  });
}

Deno.test("a role that neither owns the tables nor may set session_replication_role is refused, with the objects", async () => {
  await using source = await createDatabase(clusters[18], schema);
  const role = `plain_${crypto.randomUUID().slice(0, 8)}`;
  await exec(clusters[18].url(), `CREATE ROLE ${role} LOGIN`);
  try {
    await using target = await createDatabase(
      clusters[18],
      schema,
      `TEMPLATE template0 OWNER ${role}`,
    );
    await exec(target.url, `GRANT ALL ON ALL TABLES IN SCHEMA public TO ${role}`);
    const stream = await createClientStream(source.url, target.urlFor({ user: role }));
    try {
      await using applier = new RunningApplier(stream);
      await rejects(applier.ended, (error: Error & { details: string[]; remedy: string }) => {
        match(error.message, /triggers or foreign keys would act on replicated changes/);
        match(
          error.details.join("\n"),
          /trigger "Note it" of public\.parent: its table belongs to postgres/,
        );
        match(error.remedy, /GRANT SET ON PARAMETER session_replication_role/);
        return true;
      });
    } finally {
      await endClientStream(stream);
    }
  } finally {
    await exec(clusters[18].url(), `DROP ROLE ${role}`);
  }
});

Deno.test("rights on the target that a role lacks to apply changes are found before the first one", async () => {
  await using target = await createDatabase(
    clusters[18],
    `CREATE TABLE mine (id int PRIMARY KEY); ALTER TABLE mine ENABLE ROW LEVEL SECURITY;
     CREATE TABLE forced (id int PRIMARY KEY); ALTER TABLE forced ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
     CREATE TABLE other (id int PRIMARY KEY)`,
  );
  const role = `plain_${crypto.randomUUID().slice(0, 8)}`;
  await exec(
    target.url,
    `CREATE ROLE ${role} LOGIN; ALTER TABLE mine OWNER TO ${role}; ALTER TABLE forced OWNER TO ${role};
     GRANT SELECT, INSERT, UPDATE, TRUNCATE ON other TO ${role}`,
  );
  try {
    const tables = ["mine", "forced", "other", "absent"].map((name) => ({
      schema: "public",
      name,
    }));
    const find = async (url: string) => {
      await using session = await openSession(await endpointOf(url, "target"));
      return await findRoleRights(session, tables);
    };
    const hazards = await find(target.urlFor({ user: role }));
    match(
      hazards.map(({ id, finding }) => `${id}: ${finding}`).join("\n"),
      /^forced-row-security: .* these tables: forced\nrole-privileges: .* these tables: other \(DELETE\)$/,
    );
    for (const { remedy } of hazards) {
      for (const [statement] of remedy.matchAll(/(ALTER TABLE|GRANT) [^;]*;/g)) {
        await exec(target.url, statement);
      }
    }
    deepStrictEqual(await find(target.urlFor({ user: role })), []);
  } finally {
    await exec(target.url, `DROP OWNED BY ${role}; DROP ROLE ${role}`);
  }
});
