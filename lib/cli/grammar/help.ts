import { programName } from "./program.ts";

/** What the numbers mean, at the end of every help page. */
export const exitCodesHelp = `
Exit codes:
  0 done  1 defect of the tool  2 wrong options
  3 a check failed or something needed is missing
  4 source unreachable  5 target unreachable
  6 both sides differ  7 replication is unhealthy
  8 a server refused a statement
  9 no difference found, but not everything could be compared
  10 the service of --remote cannot be reached
  11 complete except for objects that could not be created
  130 ended by Ctrl-C, SIGTERM, or answering no`;

const urls = `
Connection URLs are those of psql:
  postgresql://USER@HOST:PORT/DATABASE?sslmode=require
Give them in the variables SOURCE_URL and TARGET_URL to keep passwords out of
the shell's history; PGPASSWORD, ~/.pgpass and the other PG… variables count
as well.`;

export const overviewHelp = `
See it work:
  ${programName} demo

A first migration:
  export SOURCE_URL=postgresql://me:secret@old.example.com/app
  export TARGET_URL=postgresql://me:secret@new.example.com/app
  ${programName} validate
  ${programName} init

"${programName} help init" explains a command and its options.
${urls}
${exitCodesHelp}`;

export const validateHelp = `
Examples:
  ${programName} validate --source postgresql://me@old/app \\
    --target postgresql://me@new/app
  ${programName} validate --explain-rules \\
    --exclude-tables app.audit_log
  ${programName} validate --for-sync  # for init --enable-sync
  ${programName} validate --json |
    jq '.checks[] | select(.status != "pass")'
${urls}
${exitCodesHelp}`;

export const initHelp = `
Examples:
  ${programName} init --dry-run  # show what would happen
  ${programName} init  # all databases of the source
  ${programName} init --include-databases app,billing
  ${programName} init --include-databases app --map app=shop
  ${programName} init --exclude-tables 'app.audit_log,app.tmp.*' \\
    --schema-only-tables sales.archive
  ${programName} init --table-filter "orders:tenant = 42" \\
    --time-filter "events:created_at:6 months"
  ${programName} init --config move.toml
    # the same in a file: docs/reference/configuration.md
  ${programName} init --interactive  # choose on the terminal
  ${programName} init --yes --json > report.json  # in a script
  ${programName} init --enable-sync
    # go on with replication when the rows are in

Without --enable-sync, what is written on the source after the start is not in
the copy. With it a replication slot is made first and its snapshot is what is
copied, so that the target follows without losing or repeating a change; it
needs wal_level = logical on the source and a target that can reach it
(docs/guides/sync.md).
${urls}
${exitCodesHelp}`;

export const verifyHelp = `
Examples:
  ${programName} verify  # all databases of the source
  ${programName} verify --include-tables app.orders --max-diffs 100
  ${programName} verify --json |
    jq '.databases[].tables[] | select(.verdict != "equal")'
  ${programName} verify --repair --dry-run
    # the SQL that would make the target equal

Ends with 0 only when everything was compared and nothing differs. What was not
compared is listed.
${urls}
${exitCodesHelp}`;

export const statusHelp = `
Examples:
  ${programName} status
  ${programName} status --watch --interval 5
  ${programName} status --check --max-lag-bytes 64MB \\
    --max-lag-seconds 60  # for a monitor or a script
  ${programName} status --prometheus \\
    > /var/lib/node_exporter/seren.prom
  ${programName} status --json |
    jq '.databases[].streams[] | {name, state, lagBytes}'

docs/guides/status.md explains every field and says what to alert on. In a pipe,
--watch prints a line for each stream and look; with --json a document for each
look.
${urls}
${exitCodesHelp}`;

export const cleanupHelp = `
Examples:
  ${programName} cleanup --dry-run  # show what would be removed
  ${programName} cleanup  # ask, then remove it
  ${programName} cleanup --include-databases app --yes

It removes slots, publications, subscriptions and the tool's own records by
their names (seren_…) and comments, never anything else, and gives tables back
the replica identity that they had. It works when the other side is gone, when
only half was made, and twice in a row. Replication ends with it: rows written
afterwards stay on the source.
${urls}
${exitCodesHelp}`;

export const syncHelp = `
Examples:
  ${programName} sync  # adopt what init --enable-sync left, or go on
  ${programName} sync --resnapshot public.orders
    # copy one table again; the others go on
  ${programName} sync --add-tables '*'
    # tables that appeared on the source since
  ${programName} sync --retry
    # after the cause of an error was removed
  ${programName} sync --skip-lsn 16/B374D848
    # without the transaction that cannot be applied

Ends when the target has everything that the source had at that time;
replication itself goes on, in the servers. Ctrl-C stops the waiting, not the
replication. docs/guides/sync.md explains every state and what to do.
${urls}
${exitCodesHelp}`;
