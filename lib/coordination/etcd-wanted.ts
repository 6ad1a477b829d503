/** Hosts from which on that many members are wanted; fewer have one. */
const THREE_FROM = 3;
const FIVE_FROM = 7;

/** A host that may run a member of etcd: any that was not removed, or is not to be. */
export interface EtcdHost {
  id: string;
  zone: string;
  isUp: boolean;
  /** `https://host:port`, where other members reach the one on this host. */
  peerUrl: string;
  /** `https://host:port`, where clients do. */
  clientUrl: string;
}

/**
 * Which hosts are to run a member of etcd.
 *
 * One of one or two hosts: two have no better a majority than one, which then needs both. Three of three hosts and more,
 * five of seven and more; five stay five while there are five hosts. They are in as many zones as possible. Whoever is
 * a member stays one while its host belongs to the cluster, up or down, unless another one is in a zone with fewer. The
 * number is made larger only by hosts that are up, and only to an odd one.
 *
 * @param current hosts that are to run a member until now, the longest first.
 */
export function wantedMembers(hosts: readonly EtcdHost[], current: readonly string[]): string[] {
  const byId = new Map(hosts.map((host) => [host.id, host]));
  const wanted = current.flatMap((id) => byId.get(id) ?? []);
  const target = targetOf(hosts.length, current.length);
  while (wanted.length > target) wanted.splice(leastNeeded(wanted), 1);
  const candidates = hosts.filter((host) => host.isUp && !wanted.includes(host)).sort((a, b) => (a.id < b.id ? -1 : 1));
  const added = Math.min(target - wanted.length, candidates.length);
  const isOdd = (wanted.length + added) % 2 === 1;
  for (let left = isOdd ? added : added - 1; left > 0; left--) wanted.push(takeBest(candidates, wanted));
  if (wanted.length === target) spread(wanted, candidates);
  return wanted.map(({ id }) => id);
}

function targetOf(hosts: number, current: number): number {
  if (hosts >= FIVE_FROM || (current >= 5 && hosts >= 5)) return 5;
  return hosts >= THREE_FROM ? 3 : 1;
}

/** Position of the one to do without: in the fullest zone, one that is down before one that is up, the newest. */
function leastNeeded(wanted: EtcdHost[]): number {
  const rank = (host: EtcdHost) => 2 * inZone(wanted, host.zone) + (host.isUp ? 0 : 1);
  const highest = Math.max(...wanted.map(rank));
  return wanted.findLastIndex((host) => rank(host) === highest);
}

function takeBest(candidates: EtcdHost[], wanted: EtcdHost[]): EtcdHost {
  const crowds = candidates.map(({ zone }) => inZone(wanted, zone));
  return candidates.splice(crowds.indexOf(Math.min(...crowds)), 1)[0]!;
}

/** Replaces one, where that gets it out of a zone with another. */
function spread(wanted: EtcdHost[], candidates: EtcdHost[]): void {
  if (candidates.length === 0 || wanted.length === 1) return;
  const best = takeBest(candidates, wanted);
  const worst = leastNeeded(wanted);
  if (inZone(wanted, best.zone) + 1 < inZone(wanted, wanted[worst]!.zone)) wanted.splice(worst, 1, best);
}

function inZone(hosts: readonly EtcdHost[], zone: string): number {
  return hosts.filter((host) => host.zone === zone).length;
}
