/**
 * The schema that an unfinished copy has in the target, for its own account.
 *
 * @module
 */

/**
 * Its name. What is in it is the tool's: it is neither copied nor compared, and does not make a
 * database count as used.
 */
export const ledgerSchema = "seren_ledger";
