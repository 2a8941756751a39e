/** A supported PostgreSQL major version. */
export type PgMajor = 12 | 13 | 14 | 15 | 16 | 17 | 18;

/** Every {@linkcode PgMajor}, oldest first. */
export const PG_MAJORS: readonly PgMajor[] = [12, 13, 14, 15, 16, 17, 18];
