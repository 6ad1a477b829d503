import { diskDistance, hostDistance, type PlacementHost } from './placement.js';

/**
 * Rendezvous hashing with bounded loads. The hash alone would give the fullest of fifty hosts a third more than its
 * share of a thousand groups, and once that host is full the cluster is. So each candidate takes no more than its share
 * and a little, and gives the groups that are farthest from it to the next in their rank. Who takes what is a stable
 * matching: it depends on no order, so that a candidate that comes or goes moves its share and little else.
 */

/** How much more than its share a candidate may take. The closer to 0, the more groups move with each change. */
const SLACK = 0.02;
/** Clusters that differ at a time: the one before a change and the one after, each with a few tables. */
const TABLES_CACHED_MAX = 8;
/** Distances are kept for so many candidates: those of a large cluster, and of one that follows it. */
const DISTANCES_CACHED_MAX = 4096;

/** For each group of a table the disks that should hold it, best first, as `wantedDisks` would have it without bounds. */
export type WantedTable = readonly (readonly number[])[];

interface Candidate {
  readonly key: string;
  readonly weight: number;
  /** Two candidates of one zone never take the same group. */
  readonly zone: string;
  /** Of a group, by its number. */
  readonly distances: Float64Array;
  readonly most: number;
}

const NONE: ReadonlySet<number> = new Set();

const tables = new Map<string, WantedTable>();
const distances = new Map<string, Float64Array>();

/** Pure: what it keeps from call to call is only what it would compute again. */
export function wantedTable(hosts: readonly PlacementHost[], pgs: number, copies: number): WantedTable {
  const key = JSON.stringify([pgs, copies, hosts]);
  let table = tables.get(key);
  if (table === undefined) {
    table = computeTable(hosts, pgs, copies);
    if (tables.size >= TABLES_CACHED_MAX) tables.delete(tables.keys().next().value!);
    tables.set(key, table);
  }
  return table;
}

function computeTable(hosts: readonly PlacementHost[], pgs: number, copies: number): WantedTable {
  const usable = hosts.map((host) => ({ host, weight: weightOf(host) })).filter(({ weight }) => weight > 0);
  const all = Array.from({ length: pgs }, (_, group) => group);
  const [only] = usable;
  if (only && usable.length === 1) {
    const disks = disksOf(only.host, all, pgs, 1);
    return all.map((group) => [disks.get(group)!]);
  }
  const shares = hostShares(usable, copies);
  const candidates = usable.map(({ host, weight }, index) => ({
    key: host.id,
    weight,
    zone: host.zone,
    distances: distancesOf(`host ${host.id}`, pgs, (group) => hostDistance(host.id, group)),
    most: mostOf(shares[index]!, pgs),
  }));
  const chosen = match(all, candidates, copies);
  const table = all.map((): number[] => []);
  const diskByGroup = usable.map(({ host }, index) => {
    const held = all.filter((group) => chosen[group]!.includes(index));
    return disksOf(host, held, pgs, shares[index]!);
  });
  for (const group of all) for (const index of chosen[group]!) table[group]!.push(diskByGroup[index]!.get(group)!);
  return table;
}

/** Which of a host's disks takes each of the groups that the host takes. */
function disksOf(host: PlacementHost, groups: readonly number[], pgs: number, share: number): Map<number, number> {
  const disks = host.disks.filter((disk) => disk.weight > 0);
  // As on most hosts: there is nothing to choose.
  if (disks.length === 1) return new Map(groups.map((group) => [group, disks[0]!.number]));
  const total = weightOf(host);
  const candidates = disks.map(({ number, weight }) => ({
    key: String(number),
    weight,
    zone: host.zone,
    distances: distancesOf(`disk ${number}`, pgs, (group) => diskDistance(number, group)),
    // Of what the host should have, not of what it has: a group more on it is not to move the others.
    most: mostOf((share * weight) / total, pgs),
  }));
  const chosen = match(groups, candidates, 1);
  return new Map(groups.map((group, position) => [group, disks[chosen[position]![0]!]!.number]));
}

/** The share of all groups that each host should have: by weight, but a zone has at most one copy of a group. */
function hostShares(
  hosts: readonly { readonly host: PlacementHost; readonly weight: number }[],
  copies: number,
): number[] {
  const zones = new Map<string, number>();
  for (const { host, weight } of hosts) zones.set(host.zone, (zones.get(host.zone) ?? 0) + weight);
  const shares = new Map<string, number>();
  // Zones that are too large for their weight take every group, largest first; the others share what is left.
  let left = Math.min(copies, zones.size);
  let weightLeft = [...zones.values()].reduce((sum, weight) => sum + weight, 0);
  for (const [zone, weight] of [...zones].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1))) {
    const share = Math.min(1, (left * weight) / weightLeft);
    shares.set(zone, share);
    left -= share;
    weightLeft -= weight;
  }
  return hosts.map(({ host, weight }) => (shares.get(host.zone)! * weight) / zones.get(host.zone)!);
}

function mostOf(share: number, groups: number): number {
  return Math.min(groups, Math.ceil(share * groups * (1 + SLACK)));
}

/**
 * For each group the candidates it gets, best first: groups ask in order of their rank, and a candidate that has too
 * many turns away those that are farthest. A group that nobody is left for goes to the first in rank all the same:
 * copies come before balance.
 */
function match(groups: readonly number[], candidates: readonly Candidate[], copies: number): number[][] {
  const ranks = groups.map((group) => rank(group, candidates));
  const refused = groups.map(() => new Set<number>());
  const chosen: number[][] = groups.map(() => []);
  const held = candidates.map(() => new Set<number>());
  const asking = groups.map((_, position) => position);
  const isAsking = groups.map(() => true);
  while (asking.length > 0) {
    const position = asking.pop()!;
    isAsking[position] = false;
    const before = chosen[position]!;
    const now = fill([], ranks[position]!, candidates, copies, refused[position]!);
    chosen[position] = now;
    for (const index of before) if (!now.includes(index)) held[index]!.delete(position);
    for (const index of now) {
      held[index]!.add(position);
      if (held[index]!.size <= candidates[index]!.most) continue;
      const farthest = farthestOf(held[index]!, groups, candidates[index]!.distances);
      held[index]!.delete(farthest);
      refused[farthest]!.add(index);
      if (!isAsking[farthest]) asking.push(farthest);
      isAsking[farthest] = true;
    }
  }
  return groups.map((_, position) => fill(chosen[position]!, ranks[position]!, candidates, copies, NONE));
}

function rank(group: number, candidates: readonly Candidate[]): number[] {
  const scores = candidates.map(({ weight, distances }) => weight / distances[group]!);
  return candidates
    .map((_, index) => index)
    .sort((a, b) => scores[b]! - scores[a]! || (candidates[a]!.key < candidates[b]!.key ? -1 : 1));
}

/** `chosen` and the first in rank that did not refuse, one a zone, until there are as many as copies. */
function fill(
  chosen: readonly number[],
  ranked: readonly number[],
  candidates: readonly Candidate[],
  copies: number,
  refused: ReadonlySet<number>,
): number[] {
  const filled = [...chosen];
  const zones = new Set(filled.map((index) => candidates[index]!.zone));
  for (const index of ranked) {
    if (filled.length >= copies) break;
    if (refused.has(index) || zones.has(candidates[index]!.zone)) continue;
    zones.add(candidates[index]!.zone);
    filled.push(index);
  }
  return filled;
}

function farthestOf(positions: ReadonlySet<number>, groups: readonly number[], distances: Float64Array): number {
  let farthest = -1;
  for (const position of positions) {
    const difference = farthest < 0 ? 1 : distances[groups[position]!]! - distances[groups[farthest]!]!;
    if (difference > 0 || (difference === 0 && position > farthest)) farthest = position;
  }
  return farthest;
}

function distancesOf(key: string, pgs: number, distance: (group: number) => number): Float64Array {
  const known = distances.get(key);
  if (known !== undefined && known.length >= pgs) return known;
  const made = Float64Array.from({ length: pgs }, (_, group) => distance(group));
  if (distances.size >= DISTANCES_CACHED_MAX) distances.delete(distances.keys().next().value!);
  distances.set(key, made);
  return made;
}

function weightOf(host: PlacementHost): number {
  return host.disks.reduce((sum, disk) => sum + disk.weight, 0);
}
