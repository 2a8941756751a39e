
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
  );;
INSERT INTO seren_ledger."epoch" SELECT * FROM pg_catalog.json_populate_record(NULL::seren_ledger."epoch", '{"epoch":1,"document":"{\"lsn\":\"0/1F08358\",\"snapshot\":\"0000000B-00000007-1\",\"point\":{\"serverStart\":\"1795972886654220\",\"databaseOid\":16384,\"transactions\":\"740:740:\"}}","started_at":"2026-11-29T17:21:37.097752+00:00"}');
INSERT INTO seren_ledger."part_done" SELECT * FROM pg_catalog.json_populate_record(NULL::seren_ledger."part_done", '{"schema_name":"public","table_name":"orders","part":0,"parts":1,"epoch":1,"holder":"08c3661a-8725-4d51-a6ee-43a0b942aaad","rows":20000,"bytes":2440426,"done_at":"2026-11-29T17:21:37.579414+00:00"}');
INSERT INTO seren_ledger."run" SELECT * FROM pg_catalog.json_populate_record(NULL::seren_ledger."run", '{"only_row":true,"format":2,"holder":"08c3661a-8725-4d51-a6ee-43a0b942aaad","document":"{\"run\":\"09b96c5c-1051-4bf2-abde-d5b1b3b9aca2\",\"tool\":\"0.1.0\",\"scope\":{\"databases\":{\"shop\":\"shop\"},\"fingerprint\":\"b8cf826873708424404b87c6dbecd5faca4218f5183845d9bd5a575ec8ce3e2b\",\"now\":\"2026-11-29T17:21:30.923Z\",\"sync\":false,\"selection\":{\"include\":[\"shop\"],\"exclude\":[]}},\"dumpTool\":\"embedded pg_dump 18 (chosen by --dump-tool)\",\"source\":{\"database\":\"shop\",\"systemIdentifier\":\"7713644811849814340\",\"databaseOid\":16384},\"decisions\":{\"public.orders\":\"copied\",\"public.people\":\"copied\"}}","started_at":"2026-11-29T17:21:37.002655+00:00","complete":false}');
INSERT INTO seren_ledger."statement_done" SELECT * FROM pg_catalog.json_populate_record(NULL::seren_ledger."statement_done", '{"digest":"fa23d75eefc4040aaa73f6f6f9892e98","holder":"08c3661a-8725-4d51-a6ee-43a0b942aaad"}');
INSERT INTO seren_ledger."statement_done" SELECT * FROM pg_catalog.json_populate_record(NULL::seren_ledger."statement_done", '{"digest":"8e84216eea51de7e19cbb448ca197344","holder":"08c3661a-8725-4d51-a6ee-43a0b942aaad"}');
INSERT INTO seren_ledger."statement_done" SELECT * FROM pg_catalog.json_populate_record(NULL::seren_ledger."statement_done", '{"digest":"7c6b25faf97329d3d031eddc6bc677ce","holder":"08c3661a-8725-4d51-a6ee-43a0b942aaad"}');
INSERT INTO seren_ledger."statement_done" SELECT * FROM pg_catalog.json_populate_record(NULL::seren_ledger."statement_done", '{"digest":"7a96ad5803a99b2edf02b9d68eb7d36f","holder":"08c3661a-8725-4d51-a6ee-43a0b942aaad"}');
INSERT INTO seren_ledger."structure" SELECT * FROM pg_catalog.json_populate_record(NULL::seren_ledger."structure", '{"digest":"fa23d75eefc4040aaa73f6f6f9892e98","object":"\"TABLE public.orders\""}');
INSERT INTO seren_ledger."structure" SELECT * FROM pg_catalog.json_populate_record(NULL::seren_ledger."structure", '{"digest":"8e84216eea51de7e19cbb448ca197344","object":"\"TABLE public.orders\""}');
INSERT INTO seren_ledger."structure" SELECT * FROM pg_catalog.json_populate_record(NULL::seren_ledger."structure", '{"digest":"7c6b25faf97329d3d031eddc6bc677ce","object":"\"TABLE public.people\""}');
INSERT INTO seren_ledger."structure" SELECT * FROM pg_catalog.json_populate_record(NULL::seren_ledger."structure", '{"digest":"7a96ad5803a99b2edf02b9d68eb7d36f","object":"\"TABLE public.people\""}');
INSERT INTO seren_ledger."structure" SELECT * FROM pg_catalog.json_populate_record(NULL::seren_ledger."structure", '{"digest":"c4c022596d5b8f6fa1e557081dde1e57","object":"\"CONSTRAINT public.orders orders_pkey\""}');
INSERT INTO seren_ledger."structure" SELECT * FROM pg_catalog.json_populate_record(NULL::seren_ledger."structure", '{"digest":"47bb86c6ce18628c5540734e961a728a","object":"\"INDEX public.orders_person_idx\""}');
INSERT INTO seren_ledger."structure" SELECT * FROM pg_catalog.json_populate_record(NULL::seren_ledger."structure", '{"digest":"c1c379aac34f9000d400e2b27aa3b222","object":"\"CONSTRAINT public.people people_pkey\""}');
INSERT INTO seren_ledger."structure" SELECT * FROM pg_catalog.json_populate_record(NULL::seren_ledger."structure", '{"digest":"0a521d5dcd2178b3ffc4cf1a2be96362","object":"\"FK CONSTRAINT public.orders orders_person_fkey\""}');
