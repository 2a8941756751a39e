-- The ledger of an unfinished copy, format 2. Documents are JSON.
CREATE SCHEMA seren_ledger;
COMMENT ON SCHEMA seren_ledger IS 'postgres-seren-replicator: what an unfinished copy has done; removed when it is finished';
CREATE TABLE seren_ledger.run (
  only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  format integer NOT NULL,
  holder text NOT NULL,
  document text NOT NULL,
  started_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
  complete boolean NOT NULL DEFAULT false
);
CREATE TABLE seren_ledger.epoch (
  epoch integer PRIMARY KEY,
  document text NOT NULL,
  started_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);
CREATE TABLE seren_ledger.planned_part (
  schema_name text, table_name text, part integer,
  parts integer NOT NULL,
  epoch integer NOT NULL REFERENCES seren_ledger.epoch,
  from_block bigint, to_block bigint,
  key_column text, key_type text, from_key text, to_key text,
  PRIMARY KEY (schema_name, table_name, part)
);
CREATE TABLE seren_ledger.part_done (
  schema_name text, table_name text, part integer,
  parts integer NOT NULL,
  epoch integer NOT NULL,
  holder text NOT NULL,
  rows bigint, bytes bigint,
  done_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
  CONSTRAINT seren_ledger_part_done PRIMARY KEY (schema_name, table_name, part)
);
CREATE TABLE seren_ledger.structure (
  digest text PRIMARY KEY,
  object text NOT NULL
);
CREATE TABLE seren_ledger.statement_done (
  digest text PRIMARY KEY,
  holder text NOT NULL
);
CREATE TABLE seren_ledger.set_aside (
  place integer PRIMARY KEY,
  document text NOT NULL
);
