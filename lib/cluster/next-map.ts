import type { ClusterMap } from './cluster-map.js';
import { becomeInSync, finishLeaving, leaveAbsent, leaveKeptOut, restart } from './group-steps.js';
import type { HostRecord } from './host-record.js';
import {
  comeUp,
  forgetRemoved,
  markDown,
  markLostDisks,
  registerHosts,
  setDiskStandings,
  setHostStandings,
} from './host-steps.js';
import { MapDraft } from './map-draft.js';
import type { DiskFailedReport, InSyncReport, NextMapOptions, Observed, Report } from './observation.js';
import { converge } from './placement-steps.js';
import { makeTables } from './table-birth.js';

/**
 * The map that should follow: the same object where nothing changes, else one of the next epoch. Pure: the conductor's
 * whole judgement is here.
 *
 * The order of the steps is part of it. Who died leaves the groups before anybody comes up, as a host that rebooted may
 * only come up where nobody counts on its copy any more; groups restart when all who are up are known; and only then do
 * copies move.
 */
export function nextMap(
  map: ClusterMap,
  hosts: readonly HostRecord[],
  observed: Readonly<Record<string, Observed>>,
  reports: readonly Report[],
  options: NextMapOptions,
): ClusterMap {
  const draft = new MapDraft(map, hosts, observed, options);
  const failures = reports.filter((report): report is DiskFailedReport => report.type === 'disk-failed');
  const finished = reports.filter((report): report is InSyncReport => report.type === 'in-sync');

  registerHosts(draft);
  markDown(draft);
  setDiskStandings(draft, failures);
  draft.changeGroups((group) => leaveAbsent(group, draft));
  markLostDisks(draft);

  comeUp(draft);
  // Who came up may have come without a disk, or with an old image of it.
  setDiskStandings(draft, failures);
  draft.changeGroups((group) => leaveAbsent(group, draft));
  markLostDisks(draft);
  setHostStandings(draft);

  draft.changeGroups((group) => restart(group, draft));
  for (const report of finished) {
    if (draft.group(report.copies, report.pg) === undefined) continue;
    draft.changeGroup(report.copies, report.pg, (group) => becomeInSync(group, report, draft));
  }
  draft.changeGroups((group) => leaveKeptOut(group, draft));
  draft.changeGroups((group) => finishLeaving(group, draft));
  converge(draft);
  makeTables(draft);
  forgetRemoved(draft);
  return draft.finish();
}
