import type { MapGroup } from './cluster-map.js';
import { wantedTable } from './level-placement.js';
import type { MapDraft } from './map-draft.js';
import { placementHosts } from './placement-steps.js';

/** Makes the tables that are in use and missing, as soon as each of their groups has somewhere to begin. */
export function makeTables(draft: MapDraft): void {
  const known = new Set(draft.tables.map(({ copies }) => copies));
  for (const copies of draft.options.copies) {
    if (known.has(copies)) continue;
    const groups = bornTable(draft, copies);
    if (groups !== null) draft.addTable(copies, groups);
  }
}

/** A table is born with acting = insync = the wanted disks that are up at that moment, at least one. */
function bornTable(draft: MapDraft, copies: number): MapGroup[] | null {
  const hosts = placementHosts(draft);
  const up = hosts
    .map((host) => ({ ...host, disks: host.disks.filter(({ number }) => draft.mayJoin(number)) }))
    .filter(({ disks }) => disks.length > 0);
  if (up.length === 0) return null;
  const { pgs } = draft.options;
  const instead = wantedTable(up, pgs, copies);
  return wantedTable(hosts, pgs, copies).map((wanted, pg) => {
    const present = wanted.filter((disk) => draft.mayJoin(disk));
    const members = present.length > 0 ? present : instead[pg]!;
    return { acting: members, insync: members, since: draft.epoch, lossy: 0 };
  });
}
