import type { Compare, Coordination } from '../coordination/coordination.js';
import { HOSTS_PREFIX } from './host-record.js';
import { decodeHostRecord } from './host-records.js';

/** Every disk of the cluster that may hold something, and that this is so at the moment of a transaction. */
export interface AllDisks {
  readonly numbers: readonly number[];
  readonly compare: readonly Compare[];
}

/** Reads what disks there are, whether or not they are up. Rejects as the store does. */
export async function readAllDisks(coordination: Coordination): Promise<AllDisks> {
  const hosts = await coordination.range(HOSTS_PREFIX);
  const records = hosts.map(({ value }) => decodeHostRecord(value)).filter(({ banned }) => !banned);
  return {
    numbers: records.flatMap(({ disks }) => disks.map(({ number }) => number)),
    compare: hosts.map(({ key, modRevision }) => ({ key, modRevision })),
  };
}
