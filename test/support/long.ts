/**
 * Whether tests that take long and repeat what others show, on other versions or at other moments,
 * run too: `deno task test:long`.
 */
export const isLong: boolean = Deno.args.includes("--long");
