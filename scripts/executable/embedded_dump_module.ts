/** In the executable, pg_dump as WebAssembly is a file beside the program. */
export const embeddedDumpModule: string = new URL("./pg_dump/pg_dump.js", import.meta.url).href;
