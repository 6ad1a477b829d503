import type { ClusterMap } from '../cluster/cluster-map.js';
import { groupNumber } from '../store/group-records.js';
import type { Disk } from '../store/index.js';

/**
 * Which disks have to make each record of an active object durable before the first write to it. A record tells which
 * copies may differ after a power cut. Where a group has one member, and nobody who once was one could return as such,
 * none can: who joins later pulls all of it. That is so only on a host that has no peers, whose other disks can be asked.
 */
export function disksToBeDurable(map: ClusterMap, disks: readonly Disk[]): Set<number> {
  const numbers = disks.map(({ number }) => number);
  const isAlone =
    Object.keys(map.hosts).length === 1 && Object.keys(map.disks).every((disk) => numbers.includes(+disk));
  if (!isAlone) return new Set(numbers);
  const durable = new Set<number>();
  const only = new Map<number, number>();
  for (const [copies, table] of Object.entries(map.tables)) {
    for (const [pg, { acting, insync }] of table.entries()) {
      const [member] = insync;
      if (insync.length === 1 && acting.every((disk) => disk === member)) {
        only.set(groupNumber({ copies: Number(copies), pg }), member!);
      } else for (const disk of [...acting, ...insync]) durable.add(disk);
    }
  }
  // A single disk is the member of all of them.
  for (const disk of disks.length > 1 ? disks : []) {
    for (const record of disk.groups.all()) {
      const member = only.get(groupNumber(record));
      if (member !== undefined && member !== disk.number && record.insyncEpoch !== null) durable.add(member);
    }
  }
  return durable;
}
