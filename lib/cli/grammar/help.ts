import { programName } from "./program.ts";

/** At the end of every help page. */
export const exitCodesHelp = `
Exit codes:
  0 success  1 internal error (a bug)  2 invalid options
  3 a check failed or a requirement is not met
  4 source unreachable  5 target unreachable
  6 source and target differ  7 replication is unhealthy
  8 a server rejected a statement
  9 no difference found, but not everything could be compared
  10 the service of --remote is unreachable
  11 complete except for objects that could not be created
  130 interrupted by Ctrl-C or SIGTERM, or declined`;

const urls = `
Connection URLs are the same as for psql:
  postgresql://USER@HOST:PORT/DATABASE?sslmode=require
Set SOURCE_URL and TARGET_URL to keep passwords out of the shell's history.
PGPASSWORD, ~/.pgpass and the other PG… variables are used as well.`;

export const overviewHelp = `
Try it:
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
  ${programName} init --dry-run  # show the plan
  ${programName} init  # all databases of the source
  ${programName} init --include-databases app,billing
  ${programName} init --include-databases app --map app=shop
  ${programName} init --exclude-tables 'app.audit_log,app.tmp.*' \\
    --schema-only-tables sales.archive
  ${programName} init --table-filter "orders:tenant = 42" \\
    --time-filter "events:created_at:6 months"
  ${programName} init --config move.toml
    # options in a file: docs/reference/configuration.md
  ${programName} init --interactive  # choose in the terminal
  ${programName} init --yes --json > report.json  # in a script
  ${programName} init --enable-sync
    # continue with replication once the rows are copied

Without --enable-sync, the copy does not include what is written to the source
after the start. With it, a replication slot is created first and its snapshot
is copied, so that the target follows without losing or repeating a change. It
requires wal_level = logical on the source, and a target that can reach it
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

Exits with 0 only if everything in scope that can be compared is equal. What was
not compared is listed.
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

docs/guides/status.md explains every field and what to alert on. In a pipe,
--watch prints a line for each stream at every refresh; with --json, a document
at every refresh.
${urls}
${exitCodesHelp}`;

export const cleanupHelp = `
Examples:
  ${programName} cleanup --dry-run  # show what would be removed
  ${programName} cleanup  # ask, then remove it
  ${programName} cleanup --include-databases app --yes

Removes slots, publications, subscriptions and the tool's own records by their
names (seren_…) and comments, never anything else, and restores the previous
replica identity of tables. Works if the other side is gone or the setup is
incomplete, and can be repeated. Replication ends: later writes stay on the
source.
${urls}
${exitCodesHelp}`;

export const cutoverHelp = `
The actions, in their order:
  prepare   days ahead, without an outage: the fence, tokens, the way back
  rehearse  measure everything that can be measured, and predict the pause
  run       close the source and open the target, all databases together
  rollback  the reverse, without losing what was written to the target
  finish    remove the way back; the source stays closed
  status    the state, writes that reached a closed side, the next command

Examples:
  ${programName} cutover  # where it stands, and what comes next
  ${programName} cutover prepare --dry-run
    # every statement for both sides
  ${programName} cutover rehearse --brownout 500ms
    # make writers wait, for half a second at most
  ${programName} cutover run --max-pause 5s \\
    --hook-before 'psql -p 6432 pgbouncer -c PAUSE' \\
    --hook-switch ./point-pooler-to-target.sh \\
    --hook-abort 'psql -p 6432 pgbouncer -c RESUME'
  ${programName} cutover rollback
  ${programName} cutover finish

If the tool or its machine dies, nothing has changed, or the same command
continues, from any machine. Hooks are run by sh with SEREN_CUTOVER_HOOK,
_DIRECTION, _DATABASES, _FROM_HOST, _FROM_PORT, _TO_HOST and _TO_PORT; running
them needs --allow-run=sh if the tool is run by Deno.
${urls}
${exitCodesHelp}`;

export const syncHelp = `
Examples:
  ${programName} sync  # start after init --enable-sync, or resume
  ${programName} sync --resnapshot public.orders
    # copy one table again; the others continue
  ${programName} sync --add-tables '*'
    # tables created on the source since then
  ${programName} sync --retry
    # once the cause of an error is removed
  ${programName} sync --skip-lsn 16/B374D848
    # without the transaction that cannot be applied

Exits when the target has everything the source had at that time; replication
itself continues in the servers. Ctrl-C stops waiting, not replication.
docs/guides/sync.md explains every state and what to do.
${urls}
${exitCodesHelp}`;

export const completionsHelp = `
Install them:
  bash:  ${programName} completions bash \\
      > ~/.local/share/bash-completion/completions/${programName}
  zsh:   ${programName} completions zsh \\
      > "\${fpath[1]}/_${programName}"
  fish:  ${programName} completions fish \\
      > ~/.config/fish/completions/${programName}.fish`;
