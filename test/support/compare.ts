export * from "./compare/mod.ts";
