import type { ClusterMap, MapGroup } from './cluster-map.js';

export type ForceRemovalErrorCode = 'UNKNOWN_HOST' | 'NOT_DOWN' | 'NO_COPY';

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

/** The groups that only the host can restart: giving it up may lose what was written since others had a copy. */
export function groupsOnlyOn(map: ClusterMap, host: string): LostGroup[] {
  return Object.entries(map.tables).flatMap(([copies, groups]) => {
    return groups.flatMap((group, pg) => (isOnlyOn(map, group, host) ? [{ copies: Number(copies), pg }] : []));
  });
}

function isOnlyOn(map: ClusterMap, { insync }: MapGroup, host: string): boolean {
  return insync.every((disk) => map.disks[disk]!.host === host);
}

/**
 * Gives the host up for ever, and with it the last copies of some groups: each restarts from the copy that was chosen,
 * with `lossy`, so that no image shows old data where it had acknowledged newer. The caller bans the host's id and its
 * disks in `/hosts` by the same transaction.
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
  const tables = Object.entries(map.tables).map(([copies, groups]) => {
    const next = groups.map((group, pg) => {
      if (!isOnlyOn(map, group, host)) return withoutHost(map, group, host);
      const choice = chosen.find((copy) => copy.copies === Number(copies) && copy.pg === pg);
      return restartFrom(map, choice, host, epoch, `group ${pg} of ${copies} copies`);
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

/** A group that stands still waits for it no more. */
function withoutHost(map: ClusterMap, group: MapGroup, host: string): MapGroup {
  const insync = group.insync.filter((disk) => map.disks[disk]!.host !== host);
  if (group.acting.length > 0 || insync.length === group.insync.length) return group;
  return { ...group, insync };
}

function restartFrom(
  map: ClusterMap,
  choice: ChosenCopy | undefined,
  host: string,
  epoch: number,
  name: string,
): MapGroup {
  const disk = choice === undefined ? undefined : map.disks[choice.disk];
  const isUsable = disk !== undefined && disk.host !== host && disk.standing !== 'failed' && !disk.absent;
  if (!isUsable || map.hosts[disk.host]?.up !== true) {
    throw new ForceRemovalError('NO_COPY', `${name} has no copy that could restart it: bring another host up first`);
  }
  return { acting: [choice!.disk], insync: [choice!.disk], since: epoch, lossy: epoch };
}
