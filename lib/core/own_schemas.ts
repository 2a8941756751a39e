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

/** A sequence in it, which counts the writes that the fence has refused. */
export const refusalSequence = "refused_writes";

/** In the target: the records of streams whose changes the tool itself applies. */
export const applySchema = "seren_apply";

/** All of them. */
export const ownSchemas: readonly string[] = [ledgerSchema, cutoverSchema, applySchema];

/** All of them as a list of SQL literals. */
export const ownSchemaList: string = ownSchemas.map((name) => `'${name}'`).join(", ");
