import type { Coordination } from '../coordination/coordination.js';
import { type HostRecord, hostKey } from './host-record.js';
import { decodeHostRecord, encodeHostRecord } from './host-records.js';

/** Changes what the cluster knows of a host that is registered, whoever changes it besides. Rejects as the store does. */
export async function changeHost(
  coordination: Coordination,
  id: string,
  change: (record: HostRecord) => HostRecord,
): Promise<void> {
  const key = hostKey(id);
  for (;;) {
    const found = await coordination.get(key);
    if (!found) throw new Error(`host ${id} is not registered`);
    const { succeeded } = await coordination.transaction({
      compare: [{ key, modRevision: found.modRevision }],
      success: [{ put: key, value: encodeHostRecord(change(decodeHostRecord(found.value))) }],
    });
    if (succeeded) return;
  }
}
