/** The version of the tool, from deno.json; written by `deno task version`. */
export const toolVersion = "0.1.0";
