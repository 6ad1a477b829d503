import type { Coordination, KeyValue, Transaction } from '../coordination/coordination.js';
import { aliveKey, evictKey } from './alive-record.js';
import { type Clock, pause } from './clock.js';
import type { ClusterMap } from './cluster-map.js';
import { decodeClusterMap, encodeClusterMap, MAP_KEY } from './cluster-map-record.js';
import { type ChosenCopy, ForceRemovalError, giveUpHost, groupsOnlyOn, type LostGroup } from './force-removal.js';
import { type HostRecord, hostKey } from './host-record.js';
import { decodeHostRecord, encodeHostRecord } from './host-records.js';

/** The map changes while hosts come and go; so often in a row somebody else stored one first, and it is given up. */
const ATTEMPTS_MAX = 20;

export interface RemoveByForceOptions {
  readonly coordination: Coordination;
  readonly clock: Clock;
  readonly ttlMs: number;
  readonly host: string;
  /** The copies to restart these groups from: see bestCopies. It may ask the administrator, or refuse by throwing. */
  choose(map: ClusterMap, lost: readonly LostGroup[]): Promise<readonly ChosenCopy[]>;
}

/** What is known of a host that is to be given up, all of one revision. */
export interface RemovalView {
  readonly map: ClusterMap;
  readonly mapRevision: number;
  /** Of the host's heartbeat, 0 where there is none. */
  readonly aliveRevision: number;
  readonly record: HostRecord;
  readonly recordRevision: number;
}

/**
 * Gives a host up for ever, with the last copies that it has: its id and disks are banned, and the groups restart from
 * the copies that are chosen. Answers the groups that may have lost something. Takes a TTL, in which the host must be
 * seen down.
 *
 * Rejects with ForceRemovalError, or as the store or `choose` does; then nothing is changed.
 */
export async function removeByForce(options: RemoveByForceOptions): Promise<readonly LostGroup[]> {
  const { coordination, clock, ttlMs, host, choose } = options;
  let first = await look(options);
  let seenAtMs = clock.elapsedMs();
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    const waitMs = seenAtMs + ttlMs - clock.elapsedMs();
    if (waitMs > 0) await pause(clock, waitMs);
    const found = await look(options);
    if (found.aliveRevision !== first.aliveRevision) {
      // It renewed, or was started: whoever renews answers reads and writes.
      first = found;
      seenAtMs = clock.elapsedMs();
      if (found.map.hosts[host]!.up) throw notDown(host);
      continue;
    }
    const lost = groupsOnlyOn(found.map, host);
    const chosen = await choose(found.map, lost);
    const downMs = clock.elapsedMs() - seenAtMs;
    const { succeeded } = await coordination.transaction(removal(found, { downMs, ttlMs, chosen }));
    if (succeeded) return lost;
  }
  throw new ForceRemovalError('CONTENDED', `the map changes all the time: wait until hosts come and go no more`);
}

/** Throws ForceRemovalError as giveUpHost does. Nothing of it happens where the host has renewed since. */
export function removal(
  { map, mapRevision, aliveRevision, record, recordRevision }: RemovalView,
  how: { downMs: number; ttlMs: number; chosen: readonly ChosenCopy[] },
): Transaction {
  const { id } = record;
  return {
    compare: [
      { key: MAP_KEY, modRevision: mapRevision },
      { key: aliveKey(id), modRevision: aliveRevision },
      { key: hostKey(id), modRevision: recordRevision },
    ],
    success: [
      { put: MAP_KEY, value: encodeClusterMap(giveUpHost(map, id, how)) },
      { put: hostKey(id), value: encodeHostRecord(banned(record)) },
      { put: evictKey(id), value: Buffer.from(JSON.stringify({ reason: 'banned' })) },
    ],
  };
}

function banned(record: HostRecord): HostRecord {
  const disks = record.disks.map(({ number }) => number);
  return { ...record, standing: 'out', banned: true, bannedDisks: [...new Set([...record.bannedDisks, ...disks])] };
}

async function look({ coordination, host }: RemoveByForceOptions): Promise<RemovalView> {
  const { responses } = await coordination.transaction({
    success: [{ get: MAP_KEY }, { get: aliveKey(host) }, { get: hostKey(host) }],
  });
  const [map, alive, record] = responses.map(([found]): KeyValue | undefined => found);
  if (!map || !record) throw new ForceRemovalError('UNKNOWN_HOST', `the cluster has no host ${host}`);
  const found = {
    map: decodeClusterMap(map.value),
    mapRevision: map.modRevision,
    aliveRevision: alive?.modRevision ?? 0,
    record: decodeHostRecord(record.value),
    recordRevision: record.modRevision,
  };
  if (!found.map.hosts[host]) throw new ForceRemovalError('UNKNOWN_HOST', `the map has no host ${host}`);
  if (found.map.hosts[host].up) throw notDown(host);
  return found;
}

function notDown(host: string): ForceRemovalError {
  return new ForceRemovalError('NOT_DOWN', `host ${host} is up: stop it, or drain it instead`);
}
