import { type ClusterMap, isDiskUp, isUpWith } from './cluster-map.js';
import type { Observed, ReachesReport, Unreachable } from './observation.js';

/**
 * Who says that it cannot reach whom, as far as both are seen to reach the store: one that is dead is not thrown out, it
 * is down soon.
 */
export function unreachablePairs(observed: Readonly<Record<string, Observed>>, ttlMs: number): Unreachable[] {
  const renews = (host: string) => (observed[host]?.renewedMs ?? Number.POSITIVE_INFINITY) <= ttlMs / 2;
  return Object.entries(observed).flatMap(([host, { incarnation, unreachable }]) => {
    if (!renews(host)) return [];
    return unreachable.filter(renews).map((peer) => ({ host, incarnation, peer }));
  });
}

/**
 * Which host is to be thrown out as some pair of hosts cannot reach each other while both reach the store: the one that
 * more hosts report, in a tie the one that holds fewer sole copies, then the lower id; never one that is the only
 * in-sync member of a group. Null where nobody is, or may be, thrown out. `evicted` are on their way out already.
 */
export function hostToEvict(
  map: ClusterMap,
  reports: readonly Unreachable[],
  evicted: ReadonlySet<string>,
): string | null {
  const isPresent = (host: string) => map.hosts[host]?.up === true && !evicted.has(host);
  const pairs = reports.filter(({ host, incarnation, peer }) => {
    return host !== peer && isUpWith(map, host, incarnation) && isPresent(host) && isPresent(peer);
  });
  const reporters = new Map<string, Set<string>>();
  for (const { host, peer } of pairs) reporters.set(peer, (reporters.get(peer) ?? new Set()).add(host));
  const candidates = [...new Set(pairs.flatMap(({ host, peer }) => [host, peer]))].map((host) => ({
    host,
    reported: reporters.get(host)?.size ?? 0,
    soleCopies: countSoleCopies(map, host, evicted),
  }));
  candidates.sort((a, b) => {
    return b.reported - a.reported || a.soleCopies - b.soleCopies || (a.host < b.host ? -1 : 1);
  });
  return candidates.find(({ soleCopies }) => soleCopies === 0)?.host ?? null;
}

/** Groups of which nobody else who is up has a complete copy. */
function countSoleCopies(map: ClusterMap, host: string, evicted: ReadonlySet<string>): number {
  const groups = Object.values(map.tables).flat();
  return groups.filter(({ insync }) => {
    const owners = insync.filter((disk) => isDiskUp(map, disk)).map((disk) => map.disks[disk]!.host);
    return owners.includes(host) && owners.every((owner) => owner === host || evicted.has(owner));
  }).length;
}

/** Hosts that were thrown out and reach all hosts that are up again: `/evict` is lifted. */
export function hostsToReadmit(
  map: ClusterMap,
  reports: readonly ReachesReport[],
  evicted: ReadonlySet<string>,
): string[] {
  const up = Object.keys(map.hosts).filter((host) => map.hosts[host]!.up);
  const readmitted = reports.filter(({ host, peers }) => {
    // It must have gone first, or it would be thrown out and taken back in turns.
    if (!evicted.has(host) || map.hosts[host]?.up === true) return false;
    return up.every((other) => peers.includes(other));
  });
  return [...new Set(readmitted.map(({ host }) => host))];
}
