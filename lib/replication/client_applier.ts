/**
 * The applier of a stream whose changes the tool itself applies, as a handle on its record.
 *
 * @module
 */
import { type Lsn, ReplicatorError, type TableName } from "../core/internal.ts";
import type { Session } from "../postgres/internal.ts";
import type { AppliedStream, Applier, ApplierOptions, ApplierState } from "./applier.ts";
import { hasApplySchema, refuseForeignApplySchema } from "./client/apply_schema.ts";
import { type ApplyRecord, readApplyRecords } from "./client/apply_record.ts";
import {
  addClientTables,
  advanceClientStream,
  createClientStream,
  disableClientStream,
  dropClientStream,
  enableClientStream,
  keepClientTables,
  skipClientTransaction,
} from "./client/client_stream.ts";
import type { LeftIdentity } from "./publication/restore_replica_identities.ts";
import { filtersRows } from "./publication/publication.ts";
import { readSlots } from "./slot/read_slots.ts";

/**
 * The record, on the target, of a stream whose changes a process of the tool applies. `running`
 * means that they may be applied; whether a process does is shown by the stream's advisory lock.
 */
export class ClientApplier implements Applier {
  readonly name: string;
  readonly kind = "client";
  readonly #session: Session;
  readonly #signal: AbortSignal | undefined;
  readonly #stopTimeoutMs: number | undefined;

  constructor(session: Session, { name, signal, stopTimeoutMs }: ApplierOptions) {
    this.name = name;
    this.#session = session;
    this.#signal = signal;
    this.#stopTimeoutMs = stopTimeoutMs;
  }

  async state(): Promise<ApplierState> {
    const record = await this.#read();
    return record === undefined ? "absent" : record.enabled ? "running" : "stopped";
  }

  async create(
    { source, names, published, scopeComment, predicateOf }: AppliedStream,
  ): Promise<readonly []> {
    const [slot] = await readSlots(source, [names.slot]);
    if (slot?.confirmedFlushLsn === undefined) {
      throw new ReplicatorError(`the slot ${names.slot} does not exist on the source`, {
        side: "source",
        object: `database ${source.endpoint.database}`,
        remedy: "start over with init --enable-sync, or sync --resnapshot",
      });
    }
    await createClientStream(this.#session, {
      name: this.name,
      slot: names.slot,
      endLsn: slot.confirmedFlushLsn,
      tables: published.map(({ schema, name }) => ({
        schema,
        name,
        rowFilter: filtersRows(source) ? undefined : predicateOf({ schema, name }),
      })),
      scopeComment,
    });
    return [];
  }

  async start(): Promise<void> {
    await enableClientStream(this.#session, this.name);
  }

  async stop(): Promise<void> {
    await disableClientStream(this.#session, {
      name: this.name,
      signal: this.#signal,
      timeoutMs: this.#stopTimeoutMs,
    });
  }

  async skip(lsn: Lsn): Promise<void> {
    await skipClientTransaction(this.#session, { name: this.name, lsn });
  }

  async advance(lsn: Lsn): Promise<void> {
    await advanceClientStream(this.#session, { name: this.name, lsn });
  }

  async addTables(tables: readonly TableName[]): Promise<void> {
    await addClientTables(this.#session, { name: this.name, tables });
  }

  async keepTables(tables: readonly TableName[]): Promise<void> {
    await keepClientTables(this.#session, { name: this.name, tables, signal: this.#signal });
  }

  async remove(
    { restoreIdentities, keepsHeldObjects = false }: Parameters<Applier["remove"]>[0],
  ): Promise<readonly LeftIdentity[]> {
    if (!await refuseForeignApplySchema(this.#session)) return [];
    const record = await this.#read();
    if (record === undefined) return [];
    return await dropClientStream(this.#session, {
      name: this.name,
      signal: this.#signal,
      keepsHeldObjects,
      restore: restoreIdentities ? record.scopeComment?.changedIdentities ?? [] : [],
    });
  }

  async #read(): Promise<ApplyRecord | undefined> {
    if (!await hasApplySchema(this.#session)) return undefined;
    const [record] = await readApplyRecords(this.#session, [this.name]);
    return record;
  }

  /** The record stays as it is, and a process that applies the changes continues. */
  async [Symbol.asyncDispose](): Promise<void> {}
}
