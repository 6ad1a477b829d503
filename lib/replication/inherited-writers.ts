import type { ClusterMap } from '../cluster/cluster-map.js';
import { isUnavailable } from '../cluster/patient-coordination.js';
import type { Coordination } from '../coordination/coordination.js';
import { decodeWriter, WRITERS, withLoss } from './writer-record.js';
import { WriterStore } from './writer-store.js';

export interface InheritedContext {
  readonly host: string;
  readonly coordination: Coordination;
  /** Whether this process has had the role of the image: then it knows itself what is not flushed. */
  hasServed(vdi: number): boolean;
  /** Whether the worker has stopped: nobody waits any more, and what is not stored the next one finds out. */
  isClosed(): boolean;
  /** Before a store that did not answer is asked again. */
  pause(): Promise<void>;
}

/** Whether a group of the map has restarted after that epoch from a copy that may lack what was not flushed. */
export function hasLostSince(map: ClusterMap, epoch: number): boolean {
  return Object.values(map.tables).some((table) => table.some(({ lossy }) => lossy > epoch));
}

/**
 * Has the handles dead that guests of an earlier worker of this host have of images which it wrote to, and which this one
 * has not come to yet: what they have not flushed may be lost by a map that is about to be adopted, and a later worker,
 * which knows only how far this one had come, could not tell. Throws for a record that cannot be read;
 * a store that does not answer is asked again, as guests wait for it.
 */
export async function endInherited(context: InheritedContext): Promise<void> {
  while (!context.isClosed()) {
    if (await endOnce(context)) return;
    await context.pause();
  }
}

/** False where something is left to be stored, or nobody knows. */
async function endOnce({ host, coordination, hasServed }: InheritedContext): Promise<boolean> {
  try {
    let isLeft = false;
    for (const { key, value, modRevision } of await coordination.range(WRITERS)) {
      const record = decodeWriter(value);
      const vdi = Number(key.slice(WRITERS.length));
      const isOurs = record.holder?.host === host || record.owed === host;
      const isDead = (record.fenced[host] ?? 0) > record.generation;
      if (!isOurs || isDead || record.clean || hasServed(vdi)) continue;
      const isStored = await new WriterStore(coordination, vdi).replace(withLoss(record, host), modRevision);
      isLeft ||= !isStored;
    }
    return !isLeft;
  } catch (error) {
    if (!isUnavailable(error)) throw error;
    return false;
  }
}
