import { type ClusterMap, isDiskUp, type MapGroup, mayServe, zonesForData, zonesOf } from './cluster-map.js';

/** How the groups of a map are, for whoever looks after the cluster. */
export interface GroupHealth {
  readonly total: number;
  /** Written to, with as many complete copies as there are to be, or as there are zones for. */
  readonly healthy: number;
  /** With a copy on its way to, or away from, a disk. */
  readonly moving: number;
  /** Served, with fewer complete copies than there are to be. */
  readonly degraded: number;
  /** Of those, the ones that are down to a single copy. */
  readonly single: number;
  /** Nobody who has everything is there: guests wait. */
  readonly stopped: number;
  /** Hosts with a complete copy of a group that has stopped: one of them has to return. */
  readonly awaited: readonly string[];
}

export function groupHealth(map: ClusterMap): GroupHealth {
  let [total, healthy, moving, degraded, single, stopped] = [0, 0, 0, 0, 0, 0];
  const awaited = new Set<string>();
  const zones = zonesForData(map);
  for (const [copies, table] of Object.entries(map.tables)) {
    for (const group of table) {
      total++;
      const served = isServed(map, group);
      const complete = served ? completeOf(map, group) : 0;
      const full = Math.min(Number(copies), Math.max(1, zones));
      if (isMoving(group)) moving++;
      if (!served) {
        stopped++;
        for (const disk of group.insync) awaited.add(map.disks[disk]?.host ?? '');
      } else if (complete >= full) healthy++;
      else {
        degraded++;
        if (complete <= 1) single++;
      }
    }
  }
  awaited.delete('');
  return { total, healthy, moving, degraded, single, stopped, awaited: [...awaited].sort() };
}

function isServed(map: ClusterMap, { acting, insync }: MapGroup): boolean {
  return acting.length > 0 && insync.some((disk) => mayServe(map, disk) && isDiskUp(map, disk));
}

function completeOf(map: ClusterMap, { insync }: MapGroup): number {
  return zonesOf(
    map,
    insync.filter((disk) => mayServe(map, disk) && isDiskUp(map, disk)),
  );
}

function isMoving({ joined, leaving }: MapGroup): boolean {
  return joined !== undefined || leaving !== undefined;
}
