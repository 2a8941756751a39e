/** A schema migration; never changed once released. */
export interface Migration {
  readonly version: number;
  readonly statements: string;
}

/** The schema of the service's tables. */
export const serviceSchema = "seren_remote";

/** The migrations of the service's tables. The tables of pg-boss are in a separate schema. */
export const migrations: readonly Migration[] = [{
  version: 1,
  statements: `
    CREATE TABLE seren_remote.api_keys (
      id uuid PRIMARY KEY DEFAULT pg_catalog.gen_random_uuid(),
      owner text NOT NULL,
      name text NOT NULL,
      prefix text NOT NULL UNIQUE,
      hash text NOT NULL,
      scopes text[] NOT NULL,
      requests_per_second double precision NOT NULL,
      request_burst integer NOT NULL,
      most_running integer NOT NULL,
      most_queued integer NOT NULL,
      jobs_per_day integer NOT NULL,
      created_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
      created_by text NOT NULL,
      expires_at timestamptz,
      revoked_at timestamptz,
      last_used_at timestamptz,
      last_claim_at timestamptz,
      replaced_by uuid REFERENCES seren_remote.api_keys (id)
    );
    COMMENT ON COLUMN seren_remote.api_keys.hash IS 'scrypt of the key; the key itself is not kept';

    CREATE TABLE seren_remote.buckets (
      api_key_id uuid NOT NULL REFERENCES seren_remote.api_keys (id) ON DELETE CASCADE,
      kind text NOT NULL,
      tokens double precision NOT NULL,
      allowed boolean NOT NULL,
      updated_at timestamptz NOT NULL,
      PRIMARY KEY (api_key_id, kind)
    );

    CREATE TABLE seren_remote.jobs (
      id uuid PRIMARY KEY,
      owner text NOT NULL,
      api_key_id uuid NOT NULL REFERENCES seren_remote.api_keys (id),
      command text NOT NULL,
      state text NOT NULL CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled', 'timed_out')),
      queue text NOT NULL,
      message_id uuid NOT NULL,
      spec jsonb NOT NULL,
      timeout_seconds integer NOT NULL,
      trace_id text NOT NULL,
      idempotency_key text,
      request_digest text,
      created_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
      started_at timestamptz,
      finished_at timestamptz,
      attempt integer NOT NULL DEFAULT 0,
      worker text,
      cancel_requested_at timestamptz,
      last_event bigint NOT NULL DEFAULT 0,
      last_log bigint NOT NULL DEFAULT 0,
      progress jsonb,
      exit_code integer,
      result jsonb,
      error jsonb,
      UNIQUE (api_key_id, idempotency_key)
    );
    COMMENT ON COLUMN seren_remote.jobs.spec IS 'without passwords and conditions: these are in job_secrets';
    CREATE INDEX jobs_by_owner ON seren_remote.jobs (owner, created_at DESC, id DESC);
    CREATE INDEX jobs_by_age ON seren_remote.jobs (created_at DESC, id DESC);
    CREATE INDEX jobs_by_key ON seren_remote.jobs (api_key_id, created_at);
    CREATE INDEX jobs_open ON seren_remote.jobs (state) WHERE finished_at IS NULL;
    CREATE INDEX jobs_over ON seren_remote.jobs (finished_at) WHERE finished_at IS NOT NULL;

    CREATE TABLE seren_remote.job_secrets (
      job_id uuid PRIMARY KEY REFERENCES seren_remote.jobs (id) ON DELETE CASCADE,
      key_id text NOT NULL,
      wrapped_key text NOT NULL,
      ciphertext text NOT NULL,
      created_at timestamptz NOT NULL DEFAULT pg_catalog.now()
    );

    CREATE TABLE seren_remote.job_checkpoints (
      job_id uuid NOT NULL REFERENCES seren_remote.jobs (id) ON DELETE CASCADE,
      operation text NOT NULL,
      ciphertext text NOT NULL,
      updated_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
      PRIMARY KEY (job_id, operation)
    );

    CREATE TABLE seren_remote.job_events (
      job_id uuid NOT NULL REFERENCES seren_remote.jobs (id) ON DELETE CASCADE,
      number bigint NOT NULL,
      at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
      event jsonb NOT NULL,
      PRIMARY KEY (job_id, number)
    );

    CREATE TABLE seren_remote.job_logs (
      job_id uuid NOT NULL REFERENCES seren_remote.jobs (id) ON DELETE CASCADE,
      number bigint NOT NULL,
      at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
      level text NOT NULL,
      message text NOT NULL,
      PRIMARY KEY (job_id, number)
    );

    CREATE TABLE seren_remote.workers (
      name text PRIMARY KEY,
      queues text[] NOT NULL,
      concurrency integer NOT NULL,
      running integer NOT NULL,
      draining boolean NOT NULL,
      started_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
      seen_at timestamptz NOT NULL DEFAULT pg_catalog.now()
    );

    CREATE TABLE seren_remote.audit (
      id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
      actor text NOT NULL,
      api_key_prefix text,
      action text NOT NULL,
      object text,
      outcome text NOT NULL,
      trace_id text,
      address text,
      details jsonb
    );
    CREATE FUNCTION seren_remote.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      RAISE EXCEPTION 'the audit trail is append-only' USING ERRCODE = 'insufficient_privilege';
    END
    $$;
    CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON seren_remote.audit
      FOR EACH ROW EXECUTE FUNCTION seren_remote.refuse_change();
    CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON seren_remote.audit
      FOR EACH STATEMENT EXECUTE FUNCTION seren_remote.refuse_change();
    ALTER TABLE seren_remote.audit ENABLE ALWAYS TRIGGER append_only;
    ALTER TABLE seren_remote.audit ENABLE ALWAYS TRIGGER append_only_truncate;
    REVOKE ALL ON ALL TABLES IN SCHEMA seren_remote FROM PUBLIC;`,
}, {
  version: 2,
  statements: `
    ALTER TABLE seren_remote.jobs
      ADD COLUMN parent_id uuid REFERENCES seren_remote.jobs (id) ON DELETE CASCADE,
      ADD COLUMN parent_attempt integer,
      ADD COLUMN copy_id uuid;
    COMMENT ON COLUMN seren_remote.jobs.parent_id IS 'the job whose rows this one helps to copy; its secrets are the parent''s';
    CREATE INDEX jobs_by_parent ON seren_remote.jobs (parent_id) WHERE parent_id IS NOT NULL;

    CREATE TABLE seren_remote.copies (
      id uuid PRIMARY KEY,
      job_id uuid NOT NULL REFERENCES seren_remote.jobs (id) ON DELETE CASCADE,
      attempt integer NOT NULL,
      ciphertext text NOT NULL,
      closed boolean NOT NULL DEFAULT false,
      leader_seen_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
    );
    COMMENT ON TABLE seren_remote.copies IS 'copies of one database by several workers, as their leaders offer them';
    CREATE INDEX copies_by_job ON seren_remote.copies (job_id);

    CREATE TABLE seren_remote.copy_members (
      copy_id uuid NOT NULL REFERENCES seren_remote.copies (id) ON DELETE CASCADE,
      member text NOT NULL,
      worker text NOT NULL,
      number integer NOT NULL,
      seen_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
      gone boolean NOT NULL DEFAULT false,
      PRIMARY KEY (copy_id, member)
    );

    CREATE TABLE seren_remote.copy_parts (
      copy_id uuid NOT NULL REFERENCES seren_remote.copies (id) ON DELETE CASCADE,
      number integer NOT NULL,
      bytes float8 NOT NULL,
      ciphertext text NOT NULL,
      member text,
      lane integer,
      moved float8 NOT NULL DEFAULT 0,
      done boolean NOT NULL DEFAULT false,
      rows float8,
      PRIMARY KEY (copy_id, number)
    );
    COMMENT ON TABLE seren_remote.copy_parts IS 'parts that are not known to their leader to be done; the ledger in the target decides';
    CREATE INDEX copy_parts_waiting ON seren_remote.copy_parts (copy_id, number) WHERE member IS NULL;
    REVOKE ALL ON ALL TABLES IN SCHEMA seren_remote FROM PUBLIC;`,
}, {
  version: 3,
  statements: `
    ALTER TABLE seren_remote.jobs ADD COLUMN moves integer NOT NULL DEFAULT 0;
    COMMENT ON COLUMN seren_remote.jobs.moves IS 'attempts that only measured, and gave the job to the queue of its size';

    ALTER TABLE seren_remote.api_keys ADD COLUMN limits_id uuid REFERENCES seren_remote.api_keys (id);
    COMMENT ON COLUMN seren_remote.api_keys.limits_id IS 'the first of a row of keys that replaced each other: they share its limits; NULL for the first itself';
    WITH RECURSIVE chain AS (
      SELECT id, id AS first, replaced_by FROM seren_remote.api_keys AS key
       WHERE NOT EXISTS (SELECT FROM seren_remote.api_keys AS old WHERE old.replaced_by = key.id)
      UNION ALL
      SELECT key.id, chain.first, key.replaced_by FROM chain JOIN seren_remote.api_keys AS key ON key.id = chain.replaced_by
    )
    UPDATE seren_remote.api_keys AS key SET limits_id = chain.first
      FROM chain WHERE chain.id = key.id AND chain.first <> key.id;
    UPDATE seren_remote.jobs AS job SET api_key_id = key.limits_id
      FROM seren_remote.api_keys AS key
     WHERE key.id = job.api_key_id AND key.limits_id IS NOT NULL AND job.idempotency_key IS NULL;`,
}, {
  version: 4,
  statements: `
    ALTER TABLE seren_remote.job_events
      ADD COLUMN series text,
      ADD COLUMN sample boolean NOT NULL DEFAULT false;
    COMMENT ON COLUMN seren_remote.job_events.series IS 'what an event follows others in: a table, a step, a subscription';
    COMMENT ON COLUMN seren_remote.job_events.sample IS 'only says how far something is: thinned as it grows old';
    CREATE INDEX job_events_series ON seren_remote.job_events (job_id, series, number) WHERE series IS NOT NULL;
    CREATE INDEX job_events_samples ON seren_remote.job_events (job_id, number) WHERE sample;
    ALTER TABLE seren_remote.jobs ADD COLUMN sample_seconds double precision NOT NULL DEFAULT 1;
    COMMENT ON COLUMN seren_remote.jobs.sample_seconds IS 'the interval that old samples are thinned to; it doubles when there are too many';`,
}, {
  version: 5,
  statements: `
    ALTER TABLE seren_remote.api_keys ADD COLUMN digest text;
    COMMENT ON COLUMN seren_remote.api_keys.digest IS 'SHA-256 of the key; NULL until a key that was made before is used for the first time';
    DELETE FROM seren_remote.buckets WHERE kind = 'verify';`,
}, {
  version: 6,
  statements: `
    ALTER TABLE seren_remote.jobs
      ADD COLUMN is_lasting boolean NOT NULL DEFAULT false,
      ALTER COLUMN timeout_seconds DROP NOT NULL;
    COMMENT ON COLUMN seren_remote.jobs.is_lasting IS 'its work has no end of its own, and an attempt has got on with it';
    COMMENT ON COLUMN seren_remote.jobs.timeout_seconds IS 'NULL: no limit';`,
}];
