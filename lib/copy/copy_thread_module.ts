/** The program of a copy thread. The executable has its own (`scripts/executable`). */
export const threadModule: URL = new URL("./copy_thread.ts", import.meta.url);
