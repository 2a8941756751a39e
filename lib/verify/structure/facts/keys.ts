/** Facts about indexes, constraints and triggers. @module */
import { column, type FactSource, firing, ownObject, userSchema, word } from "./fact_source.ts";

/** Indexes, including those of constraints. */
export const indexes: FactSource = {
  kind: "index",
  section: "indexes",
  schema: "n.nspname",
  parent: "tab.relname",
  name: "c.relname",
  comment: "pg_catalog.obj_description(c.oid, 'pg_class')",
  facts: {
    valid: "i.indisvalid",
    ready: "i.indisready",
    unique: "i.indisunique",
    "immediately enforced": "i.indimmediate",
    clustered: "nullif(i.indisclustered, false)",
    "replica identity": "nullif(i.indisreplident, false)",
    "attached to":
      `(SELECT inh.inhparent::pg_catalog.regclass::pg_catalog.text FROM pg_catalog.pg_inherits AS inh
                      WHERE inh.inhrelid = c.oid)`,
    tablespace: "ts.spcname",
    "statistics targets":
      `(SELECT pg_catalog.string_agg(a.attnum || ': ' || a.attstattarget, ', ' ORDER BY a.attnum)
                              FROM pg_catalog.pg_attribute AS a
                             WHERE a.attrelid = c.oid AND a.attstattarget >= 0)`,
  },
  definitions: { definition: "pg_catalog.pg_get_indexdef(i.indexrelid)" },
  from: `FROM pg_catalog.pg_index AS i
    JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
    JOIN pg_catalog.pg_class AS tab ON tab.oid = i.indrelid
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    LEFT JOIN pg_catalog.pg_tablespace AS ts ON ts.oid = c.reltablespace
   WHERE c.relpersistence <> 't' AND ${userSchema} AND ${ownObject("pg_class", "i.indrelid")}`,
};

const constraintKinds = {
  p: "primary key",
  u: "unique",
  c: "check",
  f: "foreign key",
  x: "exclusion",
  n: "not null",
};

/** Clauses at the end of a definition that the facts below cover individually. */
const plainDefinition = `pg_catalog.regexp_replace(pg_catalog.pg_get_constraintdef(k.oid),
           '( NOT DEFERRABLE| DEFERRABLE| INITIALLY (DEFERRED|IMMEDIATE)| NOT ENFORCED| NOT VALID)+$', '')`;

const constraintFacts = {
  kind: word("k.contype", constraintKinds),
  deferrable: "nullif(k.condeferrable, false)",
  "initially deferred": "nullif(k.condeferred, false)",
  validated: "k.convalidated",
  "not enforced": `nullif(${column("k", "conenforced")} = 'false', false)`,
};

/** Table constraints. NOT NULL constraints have catalog entries since version 18. */
export const constraints: FactSource = {
  kind: "constraint",
  section: "constraints",
  schema: "n.nspname",
  parent: "c.relname",
  name: "k.conname",
  comment: "pg_catalog.obj_description(k.oid, 'pg_constraint')",
  facts: {
    ...constraintFacts,
    index: "CASE WHEN k.contype IN ('p', 'u', 'x') THEN ic.relname END",
    "references":
      "CASE WHEN k.contype = 'f' THEN k.confrelid::pg_catalog.regclass::pg_catalog.text END",
    // ALTER TABLE … DISABLE TRIGGER ALL disables foreign keys
    "enforcing triggers": `(SELECT nullif(pg_catalog.string_agg(DISTINCT ${
      firing("t.tgenabled")
    }, ', '), 'enabled')
                              FROM pg_catalog.pg_trigger AS t
                             WHERE t.tgconstraint = k.oid AND t.tgisinternal AND k.contype = 'f')`,
  },
  definitions: { definition: plainDefinition },
  from: `FROM pg_catalog.pg_constraint AS k
    JOIN pg_catalog.pg_class AS c ON c.oid = k.conrelid
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    LEFT JOIN pg_catalog.pg_class AS ic ON ic.oid = k.conindid
   WHERE k.contype <> 't' AND c.relpersistence <> 't' AND ${userSchema} AND ${
    ownObject("pg_class", "c.oid")
  }
     -- one for each partition that a key refers to: the server's own business
     AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint AS whole
                      WHERE whole.oid = k.conparentid AND whole.conrelid = k.conrelid)`,
};

/** Domain constraints. */
export const domainConstraints: FactSource = {
  kind: "domain constraint",
  section: "types",
  schema: "n.nspname",
  parent: "t.typname",
  name: "k.conname",
  comment: "pg_catalog.obj_description(k.oid, 'pg_constraint')",
  facts: constraintFacts,
  definitions: { definition: plainDefinition },
  from: `FROM pg_catalog.pg_constraint AS k
    JOIN pg_catalog.pg_type AS t ON t.oid = k.contypid
    JOIN pg_catalog.pg_namespace AS n ON n.oid = t.typnamespace
   WHERE ${userSchema} AND ${ownObject("pg_type", "t.oid")}`,
};

/** Triggers, including those that partitions inherit. */
export const triggers: FactSource = {
  kind: "trigger",
  section: "triggers",
  schema: "n.nspname",
  parent: "c.relname",
  name: "t.tgname",
  comment: "pg_catalog.obj_description(t.oid, 'pg_trigger')",
  facts: {
    state: firing("t.tgenabled"),
    function: "p.oid::pg_catalog.regprocedure::pg_catalog.text",
  },
  definitions: { definition: "pg_catalog.pg_get_triggerdef(t.oid)" },
  from: `FROM pg_catalog.pg_trigger AS t
    JOIN pg_catalog.pg_class AS c ON c.oid = t.tgrelid
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    JOIN pg_catalog.pg_proc AS p ON p.oid = t.tgfoid
   WHERE ${userSchema} AND ${ownObject("pg_class", "c.oid")} AND ${ownObject("pg_trigger", "t.oid")}
     -- before 15 a partition's triggers are marked internal
     AND (NOT t.tgisinternal OR (c.relispartition AND t.tgconstraint = 0))`,
};

/** Event triggers. */
export const eventTriggers: FactSource = {
  kind: "event trigger",
  section: "event triggers",
  name: "e.evtname",
  owner: "e.evtowner",
  comment: "pg_catalog.obj_description(e.oid, 'pg_event_trigger')",
  facts: {
    event: "e.evtevent",
    function: "e.evtfoid::pg_catalog.regprocedure::pg_catalog.text",
    state: firing("e.evtenabled"),
  },
  sets: { tags: "e.evttags" },
  from: `FROM pg_catalog.pg_event_trigger AS e WHERE ${ownObject("pg_event_trigger", "e.oid")}`,
};
