/**
 * SQLSTATEs that the tool branches on.
 *
 * Source: PostgreSQL documentation, "Appendix A. PostgreSQL Error Codes".
 *
 * @module
 */
export const SqlState = {
  /** 08P01: also how PgBouncer refuses a login. */
  protocolViolation: "08P01",
  /** 0A000: not supported by this version. */
  featureNotSupported: "0A000",
  /** 22021: bytes that are not valid in an encoding. */
  characterNotInRepertoire: "22021",
  /** 22P05: a character that another encoding lacks. */
  untranslatableCharacter: "22P05",
  /** 22023 */
  invalidParameterValue: "22023",
  /** 28000: rejected by pg_hba.conf, or the role may not log in. */
  invalidAuthorization: "28000",
  /** 28P01 */
  invalidPassword: "28P01",
  /** 3D000: the database does not exist. */
  invalidCatalogName: "3D000",
  /** 42501 */
  insufficientPrivilege: "42501",
  /** 42704: a type, role, setting or other object does not exist. */
  undefinedObject: "42704",
  /** 42710 */
  duplicateObject: "42710",
  /** 42P04: the database exists. */
  duplicateDatabase: "42P04",
  /** 42883 */
  undefinedFunction: "42883",
  /** 42703 */
  undefinedColumn: "42703",
  /** 42P01 */
  undefinedTable: "42P01",
  /** 25006: the transaction, or the server, is read-only. */
  readOnlyTransaction: "25006",
  /** 23505 */
  uniqueViolation: "23505",
  /** 23503 */
  foreignKeyViolation: "23503",
  /** 40001 */
  serializationFailure: "40001",
  /** 40P01 */
  deadlockDetected: "40P01",
  /** 53100 */
  diskFull: "53100",
  /** 53400: no replication slot is free. */
  configurationLimitExceeded: "53400",
  /** 3F000: the schema does not exist. */
  invalidSchemaName: "3F000",
  /** 53300 */
  tooManyConnections: "53300",
  /** 55000 */
  objectNotInPrerequisiteState: "55000",
  /** 55006: the database is in use. */
  objectInUse: "55006",
  /** 23514 */
  checkViolation: "23514",
  /** 55P03 */
  lockNotAvailable: "55P03",
  /** 25P04 (17+) */
  transactionTimeout: "25P04",
  /** 57P05 (14+) */
  idleSessionTimeout: "57P05",
  /** XX000 */
  internalError: "XX000",
  /** 57014 */
  queryCanceled: "57014",
  /** 57P01 */
  adminShutdown: "57P01",
  /** 57P02 */
  crashShutdown: "57P02",
  /** 57P03: the server is starting, stopping or recovering. */
  cannotConnectNow: "57P03",
} as const;

const transientStates: ReadonlySet<string> = new Set([
  SqlState.serializationFailure,
  SqlState.deadlockDetected,
  SqlState.tooManyConnections,
  SqlState.lockNotAvailable,
  SqlState.adminShutdown,
  SqlState.crashShutdown,
  SqlState.cannotConnectNow,
]);

/** Whether the same statement may succeed a moment later. Class 08 is "connection exception". */
export function isTransientState(sqlState: string): boolean {
  return sqlState.startsWith("08") || transientStates.has(sqlState);
}
