import { programName } from "./program.ts";

export const jobsHelp = `
Examples:
  export SEREN_REMOTE_API=https://jobs.example.com SEREN_API_KEY=srk_…
  ${programName} init --yes      # submit a job and show it
  ${programName} jobs list --state running
  ${programName} jobs logs ID -f
  ${programName} jobs attach ID  # show it again; exits with its code
  ${programName} jobs cancel ID`;

export const serveHelp = `
Try it on this machine:
  ${programName} serve --embedded --allow-address 127.0.0.0/8

In production (docs/guides/remote.md):
  export SEREN_DATABASE_URL=postgresql://seren:secret@db.internal/seren
  ${programName} serve --key-file seren.keys \\
    --listen 0.0.0.0:8443 --tls-cert chain.pem --tls-key key.pem
  ${programName} keys create --owner ops --scopes admin
  ${programName} worker --key-file seren.keys`;

export const workerHelp = `
Examples:
  ${programName} worker --key-file seren.keys --concurrency 2
  ${programName} worker --key-file seren.keys \\
    --queues large,huge --drain-timeout 5min

On SIGTERM it accepts no more jobs and lets running jobs continue for
--drain-timeout; then other workers take them over.`;

export const keysHelp = `
Examples:
  ${programName} keys create --owner alice --name laptop \\
    --expires-in 90
  ${programName} keys list
  ${programName} keys rotate 0123456789ab --overlap 7d
  ${programName} keys revoke 0123456789ab

The key is printed once, on stdout; the database stores only its hash.`;
