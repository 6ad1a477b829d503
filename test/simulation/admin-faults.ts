import { decodeClusterMap, encodeClusterMap, MAP_KEY } from '../../lib/cluster/cluster-map-record.js';
import { type ChosenCopy, ForceRemovalError, giveUpHost, groupsOnlyOn } from '../../lib/cluster/force-removal.js';
import { type HostRecord, hostKey } from '../../lib/cluster/host-record.js';
import { decodeHostRecord, encodeHostRecord } from '../../lib/cluster/host-records.js';
import type { KeyValue } from '../../lib/coordination/coordination.js';
import type { Fault } from './faults.js';
import type { SimulatedHost } from './simulated-host.js';
import type { World } from './world.js';

/** What the administrator of a simulated cluster does to its hosts and disks, as the commands of `dog` do. */

/** Answers null for what is none of it, and false for what is refused. */
export function administer(world: World, fault: Fault): boolean | null {
  if (fault.kind === 'join') {
    if (world.known.has(fault.host)) return false;
    world.addHost(fault.host).start();
    return true;
  }
  const host = 'host' in fault ? world.hosts.find(({ id }) => id === fault.host) : undefined;
  switch (fault.kind) {
    case 'disk-add':
      return host !== undefined && addDisk(world, host);
    case 'disk-remove':
      return host !== undefined && removeDisk(world, host, fault.disk);
    case 'drain':
    case 'undrain':
      return (
        host !== undefined && changeHost(world, host.id, (record) => ({ ...record, standing: standingOf(fault.kind) }))
      );
    case 'remove':
      return host !== undefined && removeHost(world, host);
    case 'force-remove':
      return host !== undefined && forceOut(world, host);
    default:
      return null;
  }
}

/** Whoever waits for the world to settle asks before each event: what is stored is decoded once. */
const decoded = new WeakMap<KeyValue, HostRecord>();

export function recordOf(world: World, host: string): HostRecord | null {
  const found = world.store.peek(hostKey(host));
  if (found === null) return null;
  let record = decoded.get(found);
  if (record === undefined) {
    record = decodeHostRecord(found.value);
    decoded.set(found, record);
  }
  return record;
}

/** Changes what the cluster knows of a host; false where it knows nothing yet. */
export function changeHost(world: World, host: string, change: (record: HostRecord) => HostRecord): boolean {
  const record = recordOf(world, host);
  if (record === null) return false;
  world.store.transact({ success: [{ put: hostKey(host), value: encodeHostRecord(change(record)) }] });
  return true;
}

function standingOf(kind: 'drain' | 'undrain'): HostRecord['standing'] {
  return kind === 'drain' ? 'draining' : 'in';
}

function addDisk(world: World, host: SimulatedHost): boolean {
  if (host.disks.slots.length >= DISKS_MAX) return false;
  host.addDisk(world.nextDisk(), world.newDevice(), WEIGHTS[host.disks.slots.length % WEIGHTS.length]!);
  return true;
}

/** Disks of a host, at most. */
const DISKS_MAX = 5;
/** Of disks that are added, in parts of one that was there. */
const WEIGHTS = [1, 0.5, 2];

/** Its data goes elsewhere; the caretaker takes it away when it is empty. The last one of a host stays. */
function removeDisk(world: World, host: SimulatedHost, disk: number): boolean {
  const slot = world.slotOf({ host: host.id, disk });
  const record = recordOf(world, host.id);
  const others = record?.disks.filter(({ number, standing }) => number !== slot?.number && standing === 'in') ?? [];
  if (!slot || slot.isDestroyed || others.length === 0) return false;
  if (record!.disks.find(({ number }) => number === slot.number)?.standing !== 'in') return false;
  return changeHost(world, host.id, (before) => ({
    ...before,
    disks: before.disks.map((each) => (each.number === slot.number ? { ...each, standing: 'removing' } : each)),
  }));
}

/** `dog node remove`: of a host that has nothing any more. */
function removeHost(world: World, host: SimulatedHost): boolean {
  const isNamed = Object.values(world.map.tables).some((groups) =>
    groups.some(({ acting, insync }) => [...acting, ...insync].some((disk) => world.map.disks[disk]?.host === host.id)),
  );
  if (isNamed) return false;
  world.store.transact({ success: [{ delete: hostKey(host.id) }] });
  world.removeHost(host);
  return true;
}

/** `dog node remove --force`: of a host that is down. It never comes back, and what only it had is lost. */
function forceOut(world: World, host: SimulatedHost): boolean {
  const found = world.store.peek(MAP_KEY);
  const record = recordOf(world, host.id);
  if (found === null || record === null || host.isRunning) return false;
  const map = decodeClusterMap(found.value);
  const chosen: ChosenCopy[] = [];
  // The promises do not cover it.
  const isCovered = world.allowance.allows({ kind: 'force-remove', host: host.id });
  if (!isCovered || groupsOnlyOn(map, host.id).length > 0) return false;
  try {
    const { ttlMs } = world.mapOptions;
    const next = giveUpHost(map, host.id, { downMs: world.downMs(host.id), ttlMs, chosen });
    const banned = { ...record, banned: true, bannedDisks: record.disks.map(({ number }) => number) };
    world.store.transact({
      success: [
        { put: MAP_KEY, value: encodeClusterMap(next) },
        { put: hostKey(host.id), value: encodeHostRecord(banned) },
      ],
    });
  } catch (error) {
    if (error instanceof ForceRemovalError) return false;
    throw error;
  }
  world.removeHost(host);
  return true;
}
