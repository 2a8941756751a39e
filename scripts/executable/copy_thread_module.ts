/** In the executable, the program of a copy thread is a bundle of its own. */
export const threadModule: URL = new URL("./lib/copy/copy_thread.js", import.meta.url);
