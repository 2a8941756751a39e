/**
 * Determines the locales that a server can create databases with.
 *
 * @module
 */
import { quoteLiteral } from "../../core/internal.ts";
import {
  ServerError,
  type Session,
  silenceEventTriggers,
  SqlState,
} from "../../postgres/internal.ts";

/** The known locales of a server. */
export type LocaleFacts = {
  /**
   * Locales of the operating system that the server's databases and collations use.
   */
  readonly libc: readonly string[];
  /** Whether it was built with ICU. */
  readonly hasIcu: boolean;
};

// collcollate is NULL for ICU collations from version 15 on
const statement = `
  SELECT (SELECT coalesce(pg_catalog.json_agg(DISTINCT locale), '[]')
            FROM (SELECT datcollate::pg_catalog.text FROM pg_catalog.pg_database
                  UNION SELECT datctype::pg_catalog.text FROM pg_catalog.pg_database
                  UNION SELECT collcollate::pg_catalog.text FROM pg_catalog.pg_collation WHERE collprovider = 'c'
                  UNION SELECT collctype::pg_catalog.text FROM pg_catalog.pg_collation WHERE collprovider = 'c'
                 ) AS known (locale)
           WHERE locale IS NOT NULL) AS libc,
         EXISTS (SELECT FROM pg_catalog.pg_collation WHERE collprovider = 'i') AS has_icu`;

type LocaleRow = { readonly libc: readonly string[]; readonly has_icu: boolean };

/** Reads the known locales of a server. */
export async function readLocales(session: Session): Promise<LocaleFacts> {
  const { libc, has_icu } = await session.queryOne<LocaleRow>(statement);
  return { libc, hasIcu: has_icu };
}

/**
 * Whether a server is known to have a locale of the operating system; `utf8` and `UTF-8` are
 * equivalent.
 */
export function knowsLocale({ libc }: LocaleFacts, locale: string): boolean {
  const normalize = (name: string) =>
    name.toLowerCase().replace(
      /\.(.*)$/,
      (_, encoding: string) => `.${encoding.replaceAll("-", "")}`,
    );
  return locale === "C" || locale === "POSIX" ||
    libc.some((known) => normalize(known) === normalize(locale));
}

/**
 * Whether the server's operating system has a locale, tested by creating a temporary collation in a
 * transaction that is rolled back. Undefined when the role may not do so.
 */
export async function tryLocale(session: Session, locale: string): Promise<boolean | undefined> {
  await silenceEventTriggers(session);
  await session.execute("BEGIN READ WRITE");
  try {
    await session.execute(
      `CREATE COLLATION pg_temp.locale_probe (PROVIDER = libc, LOCALE = ${quoteLiteral(locale)})`,
    );
    return true;
  } catch (error) {
    if (!(error instanceof ServerError)) throw error;
    return error.sqlState === SqlState.invalidParameterValue ? false : undefined;
  } finally {
    await session.execute("ROLLBACK");
  }
}
