import { join } from 'node:path';
import { readIfThere, replaceDurably } from '../net/durable-file.js';
import { type Coordination, CoordinationError, type KeyValue } from './coordination.js';
import { wipeEtcd } from './etcd-process.js';
import type { FreezableCoordination } from './freezable-coordination.js';
import { isVolatileKey } from './local.js';

/** Put last of all: who reads it from etcd knows that all the rest is there. */
export const COMPLETE_KEY = '/config/complete';
/** In the directory of the local engine: what is there has moved, and counts no more. */
const MOVED_NAME = 'moved';
/** Of one transaction; an etcd that is not ours may take no more than 1.5 MiB and 128 operations. */
const PART_KEYS_MAX = 100;
const PART_BYTES_MAX = 1024 * 1024;

export interface MoveOptions {
  local: FreezableCoordination;
  /** Where the local engine has its files. */
  localDirectory: string;
  /** Opened, and without a cluster's store in it. */
  etcd: Coordination;
}

/**
 * Moves what the local engine holds to etcd, for several hosts to agree by. When this resolves, etcd has all and is
 * what counts, now and at every later start; the local engine stays frozen. A process that goes by it is to be started
 * anew: revisions are others, and what says only who is there now was not taken along.
 *
 * Rejects as the stores do, and with CoordinationError WRONG_FORMAT when etcd has a whole store already. Where it is
 * certain that the local engine counts as before, that goes on. Where it is not, as the mark could not be written, it
 * stays frozen, and only another start can find out: see `whereStoreIs`.
 */
export async function moveToEtcd({ local, localDirectory, etcd }: MoveOptions): Promise<void> {
  await local.freeze();
  try {
    await copyStore(local.below, etcd);
  } catch (error) {
    local.thaw();
    throw error;
  }
  await replaceDurably(join(localDirectory, MOVED_NAME), new Date().toISOString());
}

/**
 * Which engine counts, at a start. Where that is the local one, what an attempt to move has left of etcd on this host
 * is ended and deleted.
 *
 * Rejects as the file system does.
 */
export async function whereStoreIs(localDirectory: string, etcdDirectory: string): Promise<'local' | 'etcd'> {
  if ((await readIfThere(join(localDirectory, MOVED_NAME))) !== null) return 'etcd';
  await wipeEtcd(etcdDirectory);
  return 'local';
}

/** Copies all that is not volatile. Nobody may change either store meanwhile. */
async function copyStore(from: Coordination, to: Coordination): Promise<void> {
  if ((await to.get(COMPLETE_KEY)) !== null) {
    throw new CoordinationError(
      'WRONG_FORMAT',
      'this etcd has the store of a cluster: give each cluster an etcd of its own',
    );
  }
  // Of an attempt that was broken off, in an etcd that is not on this host.
  await to.transaction({ success: [{ deletePrefix: '' }] });
  const all = (await from.range('')).filter(({ key }) => !isVolatileKey(key));
  for (const part of partsOf(all)) {
    await to.transaction({ success: part.map(({ key, value }) => ({ put: key, value })) });
  }
  await to.transaction({ success: [{ put: COMPLETE_KEY, value: Buffer.from('{}') }] });
}

function* partsOf(all: readonly KeyValue[]): Generator<KeyValue[]> {
  let part: KeyValue[] = [];
  let bytes = 0;
  for (const keyValue of all) {
    if (part.length === PART_KEYS_MAX || (part.length > 0 && bytes + keyValue.value.byteLength > PART_BYTES_MAX)) {
      yield part;
      part = [];
      bytes = 0;
    }
    part.push(keyValue);
    bytes += keyValue.value.byteLength;
  }
  if (part.length > 0) yield part;
}
