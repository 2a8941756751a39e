/**
 * Envelope encryption of jobs' secrets, and key providers.
 *
 * Requires the permissions of the key provider.
 *
 * @module
 */
export * from "./aws_kms.ts";
export * from "./key_provider.ts";
export * from "./local_keys.ts";
export * from "./vault.ts";
