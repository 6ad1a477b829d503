import type { Room } from './alive-record.js';

/**
 * The map of a cluster: which hosts are up, and for every group which disks get its writes and which of those have a
 * complete copy. One value in the coordination store, replaced as a whole; each host adopts newer ones only.
 */

export const CLUSTER_MAP_FORMAT = 2;

/** Whether the cluster wants a host: a draining one gives its data away and takes no more. */
export type Standing = 'in' | 'draining' | 'out';

export interface MapHost {
  readonly up: boolean;
  readonly standing: Standing;
  /** That it is up with; one that was down comes up only with a higher one. 0: it was never up. */
  readonly incarnation: number;
  /** The kernel's boot id that it is, or was last, up with. */
  readonly bootId: string;
  /** Where it is not alone in its zone; else the zone is the host's own. */
  readonly zone?: string;
}

/** Whether data may be placed on a disk, is to leave it, or what it has is lost. */
export type DiskStanding = 'in' | 'removing' | 'failed';

export interface MapDisk {
  /** The host that it belongs to. */
  readonly host: string;
  readonly standing: DiskStanding;
  /**
   * Its host is up and does not have it open. It comes back as a disk of a host that rebooted does, which only the map
   * can tell: a host that adopts a later one, or a conductor that takes over, did not see it go.
   */
  readonly absent?: true;
  /** Where it is not ample, by the heartbeat of its host. */
  readonly room?: Exclude<Room, 'ample'>;
}

/** A member that gives its copy up: it receives every write until it has adopted the map of `epoch`. */
export interface Leaving {
  /** The first map that has it out of `insync`. */
  readonly epoch: number;
  /** Of its host at that time: with another one its copy may not be put back. */
  readonly incarnation: number;
}

export interface MapGroup {
  /** Disks that receive every write. Empty while no member of `insync` is up: I/O stalls. */
  readonly acting: readonly number[];
  /** Disks whose copy is complete; only these are read or recovered from. Never empty. */
  readonly insync: readonly number[];
  /** The epoch in which a member, or a member's boot id, last changed. */
  readonly since: number;
  /** The epoch in which the group restarted from a copy that may lack unflushed writes; 0 if never. */
  readonly lossy: number;
  /**
   * The epoch in which it restarted from a copy that never was complete, as the last one was given up. What a disk knows
   * of having been in sync before then says nothing: it may hold what that copy lacks.
   */
  readonly forced?: number;
  /**
   * By disk, the epoch in which a member of `acting` that is to become in sync joined. A report that names another one
   * is of an earlier stay, in which the member may have finished what it now has to do again.
   */
  readonly joined?: Readonly<Record<number, number>>;
  /** By disk, members of `acting` that are out of `insync` on their way out: letting go takes two maps. */
  readonly leaving?: Readonly<Record<number, Leaving>>;
  /**
   * Of a group with nobody in `acting`: the members of `insync` that rebooted, or whose disk was absent, since it
   * stopped. The host's boot id cannot tell once the host is up with another one.
   */
  readonly rebooted?: readonly number[];
}

export interface ClusterMap {
  readonly format: typeof CLUSTER_MAP_FORMAT;
  /** Grows by one with every change. */
  readonly epoch: number;
  readonly hosts: Readonly<Record<string, MapHost>>;
  /** Every disk that groups name or may name, by number. */
  readonly disks: Readonly<Record<number, MapDisk>>;
  /** A table of groups for each redundancy in use, by number of copies; each has as many groups as the others. */
  readonly tables: Readonly<Record<number, readonly MapGroup[]>>;
}

/** Where every cluster begins: the first map that is stored is made from it. */
export const EMPTY_MAP: ClusterMap = { format: CLUSTER_MAP_FORMAT, epoch: 0, hosts: {}, disks: {}, tables: {} };

/** Whether the map has the host up with this incarnation: without, it answers nobody. */
export function isUpWith(map: ClusterMap, host: string, incarnation: number): boolean {
  const found = map.hosts[host];
  return found?.up === true && found.incarnation === incarnation;
}

/** Whether the map has the host of a disk up. */
export function isDiskUp(map: ClusterMap, disk: number): boolean {
  const host = map.disks[disk]?.host;
  return host !== undefined && map.hosts[host]?.up === true;
}

/**
 * Whether a disk may be read or recovered from: its copy is complete, and the group has not stopped. In one that has, who
 * is in sync may have lost what others have.
 */
export function isSource({ acting, insync }: MapGroup, disk: number): boolean {
  return insync.includes(disk) && acting.includes(disk);
}

/** Zones that a group may have copies in: of disks that are wanted, on hosts that are up or keep their place. */
export function zonesForData(map: ClusterMap): number {
  const disks = Object.entries(map.disks).filter(([, { host, standing, absent }]) => {
    const { standing: wanted, incarnation = 0 } = map.hosts[host] ?? {};
    return standing === 'in' && !absent && wanted === 'in' && incarnation > 0;
  });
  return zonesOf(
    map,
    disks.map(([number]) => Number(number)),
  );
}

/**
 * Whether a group has all the complete copies that it can have in so many zones, and a disk no part in it: then what that
 * has of it is needed no more.
 */
export function isFullWithout(
  map: ClusterMap,
  { copies, pg }: { copies: number; pg: number },
  disk: number,
  zones: number,
) {
  const group = map.tables[copies]?.[pg];
  if (!group || group.acting.length === 0 || group.acting.includes(disk) || group.insync.includes(disk)) return false;
  return zonesOf(map, group.insync) >= Math.min(copies, zones);
}

/** In how many zones the disks are. */
export function zonesOf(map: ClusterMap, disks: readonly number[]): number {
  const zones = disks.map((disk) => {
    const { host } = map.disks[disk]!;
    return map.hosts[host]?.zone ?? host;
  });
  return new Set(zones).size;
}

/**
 * Whether a disk may answer for the groups it is in. One that failed, or is absent, may be a member still while nobody
 * else is known to be there: its host, which has it open again, has lost what was not synced.
 */
export function mayServe(map: ClusterMap, disk: number): boolean {
  const found = map.disks[disk];
  return found !== undefined && found.standing !== 'failed' && !found.absent;
}

/** The group `pg` of the families that have so many copies. Throws a RangeError where the map has no such group. */
export function groupIn(map: ClusterMap, copies: number, pg: number): MapGroup {
  const group = map.tables[copies]?.[pg];
  if (!group) throw new RangeError(`the map of epoch ${map.epoch} has no group ${pg} of ${copies} copies`);
  return group;
}
