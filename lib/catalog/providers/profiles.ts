/**
 * All profiles.
 *
 * @module
 */
import { aivenProfile } from "./aiven.ts";
import { alloyDbProfile } from "./alloydb.ts";
import { auroraProfile } from "./aurora.ts";
import { azureProfile } from "./azure.ts";
import { cloudSqlProfile } from "./cloud_sql.ts";
import { crunchyProfile } from "./crunchy.ts";
import { digitalOceanProfile } from "./digitalocean.ts";
import { herokuProfile } from "./heroku.ts";
import { neonProfile } from "./neon.ts";
import { rdsProfile } from "./rds.ts";
import { supabaseProfile } from "./supabase.ts";
import { timescaleProfile } from "./timescale.ts";
import type { ProviderId, ProviderProfile } from "./profile.ts";
import { selfHostedProfile } from "./self_hosted.ts";

/** In order of precedence: Aurora also has the signs of RDS. */
export const providerProfiles: readonly ProviderProfile[] = [
  auroraProfile,
  rdsProfile,
  neonProfile,
  alloyDbProfile,
  cloudSqlProfile,
  azureProfile,
  supabaseProfile,
  crunchyProfile,
  digitalOceanProfile,
  aivenProfile,
  timescaleProfile,
  herokuProfile,
];

/** The profile of a recognized provider; undefined means that of servers without one. */
export function profileOf(id: ProviderId | undefined): ProviderProfile {
  return providerProfiles.find((profile) => profile.id === id) ?? selfHostedProfile;
}
