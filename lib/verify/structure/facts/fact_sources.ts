import * as database from "./database.ts";
import type { FactSource } from "./fact_source.ts";
import * as keys from "./keys.ts";
import * as programs from "./programs.ts";
import * as relations from "./relations.ts";

/** In the order of the report. */
export const factSources: readonly FactSource[] = [
  database.database,
  database.settings,
  database.schemas,
  database.extensions,
  relations.relations,
  relations.columns,
  keys.indexes,
  keys.constraints,
  keys.triggers,
  relations.rules,
  relations.policies,
  relations.sequences,
  programs.types,
  keys.domainConstraints,
  programs.functions,
  relations.extendedStatistics,
  programs.operators,
  programs.operatorClasses,
  programs.operatorFamilies,
  programs.casts,
  programs.transforms,
  programs.collations,
  programs.conversions,
  programs.textSearchConfigurations,
  programs.textSearchDictionaries,
  programs.textSearchParsers,
  programs.textSearchTemplates,
  programs.languages,
  programs.accessMethods,
  database.foreignDataWrappers,
  database.foreignServers,
  database.userMappings,
  keys.eventTriggers,
  database.defaultPrivileges,
  database.largeObjects,
  database.securityLabels,
];
