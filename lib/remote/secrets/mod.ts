/**
 * Secrets of jobs: envelope encryption, and who keeps the keys.
 *
 * Needs what the key provider needs.
 *
 * @module
 */
export * from "./aws_kms.ts";
export * from "./key_provider.ts";
export * from "./local_keys.ts";
export * from "./vault.ts";
