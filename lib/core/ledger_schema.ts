/**
 * The schema in the target where an unfinished copy keeps its ledger.
 *
 * @module
 */

/**
 * Its name. Its objects are owned by the tool: they are neither copied nor compared, and a database
 * with no others counts as empty.
 */
export const ledgerSchema = "seren_ledger";
