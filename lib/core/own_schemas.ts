/**
 * The schemas that the tool owns in the databases that it works on. Their objects are neither
 * copied nor compared, and a database with no others counts as empty.
 *
 * @module
 */

/** In the target: the ledger of an unfinished copy. */
export const ledgerSchema = "seren_ledger";

/** On both sides: the records, token tables and fence of a cutover. */
export const cutoverSchema = "seren_cutover";

/** Both names. */
export const ownSchemas: readonly string[] = [ledgerSchema, cutoverSchema];

/** Both names as a list of SQL literals. */
export const ownSchemaList: string = ownSchemas.map((name) => `'${name}'`).join(", ");
