import { ALIVE_PREFIX } from '../cluster/alive-record.js';
import { CONDUCTOR_KEY } from '../cluster/conductor-record.js';
import type { Coordination, KeyValue, Operation } from '../coordination/coordination.js';

/** Stored last: all the rest is there. */
export const COMPLETE_KEY = '/config/complete';
/** What is put by one transaction: values may be large. */
const KEYS_MAX = 100;
const BYTES_MAX = 1024 * 1024;

/**
 * Copies all that is stored, but for what means nothing once the process has ended. Nobody may change it meanwhile. Rejects
 * as the stores do.
 */
export async function copyStore(from: Coordination, to: Coordination): Promise<void> {
  const found = (await from.range('')).filter(({ key }) => !key.startsWith(ALIVE_PREFIX) && key !== CONDUCTOR_KEY);
  for (const part of partsOf(found)) {
    const success = part.map(({ key, value }): Operation => ({ put: key, value }));
    await to.transaction({ success });
  }
  await to.transaction({ success: [{ put: COMPLETE_KEY, value: Buffer.from('{"format":1}') }] });
}

function* partsOf(all: readonly KeyValue[]): Generator<KeyValue[]> {
  let [part, bytes]: [KeyValue[], number] = [[], 0];
  for (const keyValue of all) {
    if (part.length > 0 && (part.length === KEYS_MAX || bytes + keyValue.value.length > BYTES_MAX)) {
      yield part;
      [part, bytes] = [[], 0];
    }
    part.push(keyValue);
    bytes += keyValue.value.length;
  }
  if (part.length > 0) yield part;
}
