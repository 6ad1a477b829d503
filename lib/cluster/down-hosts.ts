import type { Compare, Coordination } from '../coordination/coordination.js';
import { decodeClusterMap, MAP_KEY } from './cluster-map-record.js';

/** Hosts that are not up, and that this is so at the moment of a transaction: who comes up does so with another map. */
export interface DownHosts {
  readonly hosts: readonly string[];
  readonly compare: readonly Compare[];
}

/** Which of these hosts are not up by the newest map; none before there is one. Rejects as the store does. */
export async function readDown(coordination: Coordination, hosts: Iterable<string>): Promise<DownHosts> {
  const found = await coordination.get(MAP_KEY);
  if (!found) return { hosts: [], compare: [] };
  const map = decodeClusterMap(found.value);
  const down = [...new Set(hosts)].filter((host) => map.hosts[host]?.up !== true);
  return { hosts: down, compare: [{ key: MAP_KEY, modRevision: found.modRevision }] };
}
