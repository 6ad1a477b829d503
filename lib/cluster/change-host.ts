import type { Coordination } from '../coordination/coordination.js';
import { type HostRecord, hostKey } from './host-record.js';
import { decodeHostRecord, encodeHostRecord } from './host-records.js';

/**
 * Changes what the cluster knows of a host, null where it is not registered, whoever changes it besides. Rejects as the
 * store does.
 */
export async function changeHost(
  coordination: Coordination,
  id: string,
  change: (record: HostRecord | null) => HostRecord,
): Promise<HostRecord> {
  const key = hostKey(id);
  for (;;) {
    const found = await coordination.get(key);
    const record = change(found ? decodeHostRecord(found.value) : null);
    const { succeeded } = await coordination.transaction({
      compare: [{ key, modRevision: found?.modRevision ?? 0 }],
      success: [{ put: key, value: encodeHostRecord(record) }],
    });
    if (succeeded) return record;
  }
}
