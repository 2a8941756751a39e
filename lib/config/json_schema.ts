/**
 * The JSON Schema of configuration files, for editors and for the reference.
 *
 * @module
 */
import { z } from "zod";
import { configSchema } from "./schema.ts";

/** The parts of JSON Schema that {@linkcode configJsonSchema} uses. */
export interface JsonSchema {
  readonly description?: string;
  readonly type?: string;
  readonly enum?: readonly string[];
  readonly examples?: readonly unknown[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly items?: JsonSchema;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: JsonSchema | false;
}

/** JSON Schema (2020-12) of a configuration file. */
export function configJsonSchema(): JsonSchema {
  return {
    title: "postgres-seren-replicator configuration",
    ...z.toJSONSchema(configSchema),
  } as JsonSchema;
}
