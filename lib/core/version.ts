/** The version of the tool; a test compares it with `deno.json`. */
export const toolVersion = "0.1.0";
