import type { ClusterMap, MapGroup } from './cluster-map.js';
import { withMembers } from './group-steps.js';

/*
 * Giving a host up for ever whose copies may be the last of some groups. What can be judged by the map is here, pure;
 * remove-by-force.ts carries it out.
 */

export type ForceRemovalErrorCode = 'UNKNOWN_HOST' | 'NOT_DOWN' | 'NO_COPY' | 'CONTENDED';

export class ForceRemovalError extends Error {
  readonly code: ForceRemovalErrorCode;

  constructor(code: ForceRemovalErrorCode, message: string) {
    super(message);
    this.name = 'ForceRemovalError';
    this.code = code;
  }
}

/** A group of which a host has the last complete copy. */
export interface LostGroup {
  readonly copies: number;
  readonly pg: number;
}

/** The copy that is to be taken for complete, as nothing better is left. */
export interface ChosenCopy extends LostGroup {
  readonly disk: number;
}

/** What a disk holds of a group: it was complete in the map of that epoch, and in none after it; null if it never was. */
export interface HeldCopy extends ChosenCopy {
  readonly insyncEpoch: number | null;
}

/** The groups that only the host can restart: giving it up may lose what was written since others had a copy. */
export function groupsOnlyOn(map: ClusterMap, host: string): LostGroup[] {
  return Object.entries(map.tables).flatMap(([copies, groups]) => {
    return groups.flatMap((group, pg) => (isOnlyOn(map, group, host) ? [{ copies: Number(copies), pg }] : []));
  });
}

/**
 * For each group the copy that was complete last, of those on hosts that are up, else one that never was, else any disk
 * that may hold data: then the group begins empty. Groups that nobody could take are left out.
 */
export function bestCopies(
  map: ClusterMap,
  host: string,
  lost: readonly LostGroup[],
  held: readonly HeldCopy[],
): ChosenCopy[] {
  const byGroup = new Map<string, HeldCopy[]>();
  for (const copy of held) {
    if (!mayRestart(map, copy.disk, host)) continue;
    const key = `${copy.copies}/${copy.pg}`;
    byGroup.set(key, [...(byGroup.get(key) ?? []), copy]);
  }
  const empty = Object.keys(map.disks)
    .map(Number)
    .filter((disk) => mayRestart(map, disk, host) && map.disks[disk]!.standing === 'in');
  return lost.flatMap(({ copies, pg }) => {
    const candidates = byGroup.get(`${copies}/${pg}`) ?? [];
    const [best] = candidates.sort((a, b) => (b.insyncEpoch ?? 0) - (a.insyncEpoch ?? 0) || a.disk - b.disk);
    // Another one for each group, as placement would have it.
    const disk = best?.disk ?? empty[pg % empty.length];
    return disk === undefined ? [] : [{ copies, pg, disk }];
  });
}

/**
 * The map without the host, which is given up for ever, and with it the last copies of some groups: each restarts from
 * the copy that was chosen, with `lossy`, so that no open image shows old data where it had acknowledged newer.
 *
 * Throws ForceRemovalError UNKNOWN_HOST; NOT_DOWN unless the host has been down for a TTL; and NO_COPY where a group has
 * no chosen copy on a disk of a host that is up.
 */
export function giveUpHost(
  map: ClusterMap,
  host: string,
  { downMs, ttlMs, chosen }: { downMs: number; ttlMs: number; chosen: readonly ChosenCopy[] },
): ClusterMap {
  const found = map.hosts[host];
  if (found === undefined) throw new ForceRemovalError('UNKNOWN_HOST', `the map has no host ${host}`);
  if (found.up || downMs < ttlMs) {
    throw new ForceRemovalError('NOT_DOWN', `host ${host} is up, or was until just now: stop it, or drain it instead`);
  }
  const epoch = map.epoch + 1;
  const disks = Object.entries(map.disks).map(([number, disk]) => {
    return [number, disk.host === host ? { ...disk, standing: 'failed' as const } : disk] as const;
  });
  const choices = new Map(chosen.map(({ copies, pg, disk }) => [`${copies}/${pg}`, disk]));
  const tables = Object.entries(map.tables).map(([copies, groups]) => {
    const next = groups.map((group, pg) => {
      if (!isOnlyOn(map, group, host)) return withoutHost(map, group, host);
      const disk = choices.get(`${copies}/${pg}`);
      if (disk === undefined || !mayRestart(map, disk, host)) {
        const name = `group ${pg} of ${copies} copies`;
        throw new ForceRemovalError(
          'NO_COPY',
          `${name} has no copy that could restart it: bring another host up first`,
        );
      }
      return { acting: [disk], insync: [disk], since: epoch, lossy: epoch, forced: epoch };
    });
    return [copies, next] as const;
  });
  return {
    ...map,
    epoch,
    hosts: { ...map.hosts, [host]: { ...found, standing: 'out' } },
    disks: Object.fromEntries(disks),
    tables: Object.fromEntries(tables),
  };
}

function isOnlyOn(map: ClusterMap, { insync }: MapGroup, host: string): boolean {
  return insync.every((disk) => map.disks[disk]!.host === host);
}

function mayRestart(map: ClusterMap, number: number, host: string): boolean {
  const disk = map.disks[number];
  if (disk === undefined || disk.host === host || disk.standing === 'failed' || disk.absent) return false;
  return map.hosts[disk.host]?.up === true;
}

/**
 * Nobody waits for it any more. Not in a group that is served either, where it is a member as long as nobody else in sync
 * was seen to renew: once the others are down as well, a copy that never comes back would be what the group stands still
 * for. What they lost in a power cut is found out as ever.
 */
function withoutHost(map: ClusterMap, group: MapGroup, host: string): MapGroup {
  const isLeft = (disk: number) => map.disks[disk]!.host !== host;
  const insync = group.insync.filter(isLeft);
  if (insync.length === group.insync.length) return group;
  if (group.acting.length > 0) return withMembers(group, map.epoch + 1, group.acting.filter(isLeft), insync);
  const rebooted = group.rebooted?.filter((disk) => insync.includes(disk));
  return { ...group, insync, ...(rebooted && { rebooted }) };
}
