import type { ClusterMap } from './cluster-map.js';
import type { HostRecord } from './host-record.js';
import type { NextMapOptions, Observed, Report } from './observation.js';

/**
 * The map that should follow: the same object where nothing changes, else one of the next epoch. Pure: the conductor's
 * whole judgement is here.
 */
export function nextMap(
  map: ClusterMap,
  hosts: readonly HostRecord[],
  observed: Readonly<Record<string, Observed>>,
  reports: readonly Report[],
  options: NextMapOptions,
): ClusterMap {
  void [hosts, observed, reports, options];
  return map;
}
