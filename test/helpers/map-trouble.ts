import { aliveKey } from '../../lib/cluster/alive-record.js';
import { MAP_KEY } from '../../lib/cluster/cluster-map-record.js';
import { bestCopies, groupsOnlyOn } from '../../lib/cluster/force-removal.js';
import { hostKey } from '../../lib/cluster/host-record.js';
import { removal } from '../../lib/cluster/remove-by-force.js';
import type { ModelHost } from './map-host.js';
import { type MapModel, TTL_MS } from './map-model.js';

const HOSTS_MAX = 6;
/** Fewer are not made by taking hosts away for good. */
const HOSTS_LEFT_MIN = 2;
const SECOND_MS = 1000;

/** One thing that happens to a host of the model; answers what it was, or null where it cannot happen now. */
type Fault = (model: MapModel, host: ModelHost) => string | null;

function kill(_: MapModel, host: ModelHost): string {
  host.kill();
  return 'is killed';
}

function restart(_: MapModel, host: ModelHost): string {
  host.kill();
  host.start();
  return 'restarts';
}

function reboot(_: MapModel, host: ModelHost): string {
  host.reboot();
  return 'reboots';
}

function pause(model: MapModel, host: ModelHost): string {
  host.pausedUntilMs = model.nowMs + model.random.below(12 * SECOND_MS);
  return 'pauses';
}

/** Its worker starts over and over: its disks are to be kept out. */
function flap(model: MapModel, host: ModelHost): string {
  host.flaps = 4 + model.random.below(4);
  return 'begins to flap';
}

/** All hosts, or most, lose their power at once; they start again one by one, or not for a while. */
function cutPower(model: MapModel): string | null {
  if (!model.random.chance(0.4)) return null;
  const share = model.random.chance(0.5) ? 1 : 0.7;
  const hosts = model.hosts.filter(() => model.random.chance(share));
  for (const host of hosts) host.reboot();
  return `and the power of ${hosts.map(({ id }) => id)} is cut`;
}

function conductorDies(model: MapModel): string | null {
  const conductor = model.hosts.find((host) => host.conductor?.isConductor);
  conductor?.kill();
  return conductor === undefined ? null : `and the conductor, ${conductor.id}, is killed`;
}

function loseStore(model: MapModel, host: ModelHost): string {
  host.storeAwayUntilMs = model.nowMs + model.random.below(15 * SECOND_MS);
  return 'loses the store';
}

function loseStoreAll(model: MapModel): string | null {
  if (!model.random.chance(0.3)) return null;
  const untilMs = model.nowMs + model.random.below(15 * SECOND_MS);
  for (const host of model.hosts) host.storeAwayUntilMs = untilMs;
  return 'and all others lose the store';
}

/** Links to one other host, or to all. */
function cutLinks(model: MapModel, host: ModelHost): string {
  const forMs = model.random.below(40 * SECOND_MS);
  const others = model.hosts.filter((other) => other !== host);
  const isAll = model.random.chance(0.5);
  const cut = isAll ? others : [others[model.random.below(others.length)]!];
  for (const other of cut) model.cut(host, other, forMs);
  return `loses links to ${cut.map(({ id }) => id)} for ${forMs} ms`;
}

function loseDisk(model: MapModel, host: ModelHost): string | null {
  const disks = [...host.open.keys()];
  if (!host.isRunning || disks.length === 0) return null;
  const disk = disks[model.random.below(disks.length)]!;
  const isFailure = model.random.chance(0.5);
  host.loseDisk(disk, isFailure);
  return `loses disk ${disk}${isFailure ? ', which failed' : ''}`;
}

/** Somebody keeps an image of a disk, for a later time. */
function keepImage(model: MapModel, host: ModelHost): string {
  for (const [disk, opens] of host.opens) model.images.set(disk, model.copies.imageOf(disk, opens));
  return 'has its disks copied';
}

/** The image takes the place of the disk, while the host is off; never of the last copy that has what was flushed. */
function restoreImage(model: MapModel, host: ModelHost): string | null {
  const disk = [...host.opens].find(([number, opens]) => {
    return (model.images.get(number)?.opens ?? opens) < opens && !model.oldDisks.has(number);
  })?.[0];
  // While the map has the host up, or may have it up by its last heartbeat, it may count on that copy and let others go.
  const isOff = model.map.hosts[host.id]?.up === false && model.nowMs - lastSeenMs(host) >= 2 * TTL_MS;
  if (disk === undefined || !isOff || !isSpare(model, disk)) return null;
  const image = model.images.get(disk)!;
  host.reboot();
  host.opens.set(disk, image.opens);
  model.copies.restore(disk, image);
  model.oldDisks.add(disk);
  return `gets an old image of disk ${disk}`;
}

function isSpare(model: MapModel, disk: number): boolean {
  return (model.map.tables[3] ?? []).every(({ insync }, pg) => {
    const others = insync.filter((other) => other !== disk && !model.oldDisks.has(other));
    return !insync.includes(disk) || others.some((other) => model.copies.hasFlushed(pg, other));
  });
}

function drain(model: MapModel, host: ModelHost): string {
  const isWanted = model.random.chance(0.5);
  const change = (standing: 'in' | 'draining') => model.changeRecord(host.id, () => ({ standing }));
  if (model.record(host.id)?.standing !== 'out') change(isWanted ? 'in' : 'draining');
  return isWanted ? 'is drained no more' : 'is drained';
}

function removeDisk(model: MapModel, host: ModelHost): string {
  const number = [...host.opens.keys()][model.random.below(host.opens.size)];
  model.changeRecord(host.id, ({ disks }) => ({
    disks: disks.map((disk) => (disk.number === number ? { ...disk, standing: 'removing' } : disk)),
  }));
  return `is to lose disk ${number}`;
}

function staying(model: MapModel): ModelHost[] {
  return model.hosts.filter(({ id }) => !model.banned.has(id) && model.record(id)?.standing !== 'out');
}

function remove(model: MapModel, host: ModelHost): string | null {
  if (staying(model).length <= HOSTS_LEFT_MIN || !model.random.chance(0.3)) return null;
  model.changeRecord(host.id, () => ({ standing: 'out' }));
  return 'is to go for good';
}

function join(model: MapModel, host: ModelHost): string | null {
  if (model.hosts.length >= HOSTS_MAX || !model.random.chance(0.3)) return null;
  if (model.random.chance(0.7)) model.addHost();
  else model.addDisk(host);
  return 'and another host, or a disk of it, comes';
}

/** A host that is down is given up, with the last copies that it has; it may come back all the same. */
function giveUp(model: MapModel): string | null {
  const { map, store, hosts } = model;
  const isDown = (host: ModelHost) => map.hosts[host.id]?.up === false && model.nowMs - lastSeenMs(host) >= TTL_MS;
  const down = hosts.filter((each) => !model.banned.has(each.id) && isDown(each));
  // One that has last copies before others.
  const host = down.find(({ id }) => groupsOnlyOn(map, id).length > 0) ?? down[0];
  if (host === undefined || staying(model).length <= HOSTS_LEFT_MIN) return null;
  const downMs = model.nowMs - lastSeenMs(host);
  const lost = groupsOnlyOn(map, host.id);
  const chosen = bestCopies(map, host.id, lost, []);
  if (chosen.length < lost.length) return null;
  const revisions = [MAP_KEY, aliveKey(host.id), hostKey(host.id)].map((key) => store.get(key)?.modRevision ?? 0);
  const [mapRevision, aliveRevision, recordRevision] = revisions as [number, number, number];
  const view = { map, mapRevision, aliveRevision, record: model.record(host.id)!, recordRevision };
  model.banned.add(host.id);
  model.apply(null, removal(view, { downMs, ttlMs: TTL_MS, chosen }));
  return `and ${host.id} is given up, with the last copies of ${lost.map(({ pg }) => pg)}`;
}

function lastSeenMs(host: ModelHost): number {
  return host.renewals[0]?.atMs ?? 0;
}

const FAULTS: readonly Fault[] = [
  kill,
  kill,
  restart,
  restart,
  reboot,
  reboot,
  pause,
  pause,
  flap,
  cutPower,
  conductorDies,
  loseStore,
  loseStoreAll,
  cutLinks,
  cutLinks,
  loseDisk,
  loseDisk,
  keepImage,
  restoreImage,
  drain,
  removeDisk,
  remove,
  join,
  giveUp,
  giveUp,
];

export function trouble(model: MapModel): void {
  const { random } = model;
  const host = model.hosts[random.below(model.hosts.length)]!;
  const what = FAULTS[random.below(FAULTS.length)]!(model, host);
  if (what !== null) model.note(`${host.id} ${what}`);
}

/** The administrator's work: disks that failed may be used again, or are replaced; what is to go is let go. */
export function mend(model: MapModel): void {
  for (const host of [...model.hosts]) {
    if (model.banned.has(host.id)) continue;
    const record = model.record(host.id);
    if (record === null) continue;
    const disks = record.disks.map((disk) =>
      disk.standing === 'failed' ? { ...disk, standing: 'in' as const } : disk,
    );
    if (record.disks.some(({ standing }) => standing === 'failed')) model.setRecord({ ...record, disks });
    const isWanted = ({ number, standing }: (typeof disks)[number]) => standing === 'in' && !model.oldDisks.has(number);
    if (record.standing !== 'out' && !disks.some(isWanted)) model.addDisk(host);
    host.openDisks();
    letGo(model, host);
  }
}

/** A disk that is to go, or is an old image, goes when no group names it; with the last one the host. */
function letGo(model: MapModel, host: ModelHost): void {
  const named = new Set((model.map.tables[3] ?? []).flatMap(({ acting, insync }) => [...acting, ...insync]));
  const { disks, standing } = model.record(host.id)!;
  const isGoing = (disk: (typeof disks)[number]) => {
    return standing === 'out' || disk.standing === 'removing' || model.oldDisks.has(disk.number);
  };
  const gone = disks.filter((disk) => isGoing(disk) && !named.has(disk.number));
  for (const { number } of gone) {
    host.opens.delete(number);
    host.open.delete(number);
    model.note(`${host.id} is rid of disk ${number}`);
  }
  if (gone.length > 0) model.changeRecord(host.id, () => ({ disks: disks.filter((disk) => !gone.includes(disk)) }));
}
