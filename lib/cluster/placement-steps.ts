import type { MapGroup } from './cluster-map.js';
import { joiningOf, startLeaving, withMembers } from './group-steps.js';
import { wantedTable } from './level-placement.js';
import type { MapDraft } from './map-draft.js';
import { type PlacementHost, wantedDisks } from './placement.js';

/** The steps of `nextMap` that bring copies to where the hash wants them. */

/**
 * Hosts that may hold data: those that were up once and are wanted, up or not. A host that is down keeps its place, so
 * that nothing is replicated anew while it restarts, until its standing is `out`.
 */
export function placementHosts(draft: MapDraft): PlacementHost[] {
  const hosts: PlacementHost[] = [];
  for (const id of draft.hostIds.sort()) {
    const [host, record] = [draft.host(id)!, draft.records.get(id)];
    if (record === undefined || host.standing !== 'in' || host.incarnation === 0) continue;
    const usable = record.disks.filter(({ number, weight }) => {
      const disk = draft.disk(number);
      return weight > 0 && disk?.standing === 'in' && !disk.absent;
    });
    const disks = usable.map(({ number, weight }) => ({ number, weight }));
    if (disks.length > 0) hosts.push({ id, zone: record.zone, disks });
  }
  return hosts;
}

/** Brings every group one step closer to its wanted disks, with at most `movesMax` groups moving. */
export function converge(draft: MapDraft): void {
  const places = placesOf(draft);
  for (const place of places) draft.changeGroup(place.copies, place.pg, (group) => giveUp(group, place, draft));
  let movesLeft = draft.options.movesMax;
  for (const place of places) if (isMoving(draft.group(place.copies, place.pg)!, place, draft)) movesLeft--;
  for (const place of places) {
    draft.changeGroup(place.copies, place.pg, (group) => {
      const repaired = repair(group, place, draft);
      if (repaired !== group || movesLeft <= 0) return repaired;
      const moved = move(group, place, draft);
      if (moved !== group) movesLeft--;
      return moved;
    });
  }
}

interface Place {
  readonly copies: number;
  readonly pg: number;
  readonly wanted: readonly number[];
  /** Copies that the group can have: as many as were asked for, or as there are zones. */
  readonly full: number;
}

function placesOf(draft: MapDraft): Place[] {
  const hosts = placementHosts(draft);
  return draft.tables.flatMap(({ copies, groups }) => {
    return wantedTable(hosts, groups.length, copies).map((wanted, pg) => {
      return { copies, pg, wanted, full: Math.min(copies, wanted.length) };
    });
  });
}

/** Whether a copy more than the group needs is being made. */
function isMoving(group: MapGroup, { full }: Place, draft: MapDraft): boolean {
  return group.acting.length > full && joiningOf(group).some((disk) => !hasNoRoom(disk, draft));
}

/** Members that no longer have their place here go, if that lowers no number of copies. One at a time. */
function giveUp(group: MapGroup, place: Place, draft: MapDraft): MapGroup {
  const staying = stayingOf(group);
  const strangers = staying.filter((disk) => !place.wanted.includes(disk));
  if (strangers.length === 0 || place.wanted.length === 0) return group;
  // Some are gone and cannot be taken out yet: nobody else goes meanwhile.
  if (!group.acting.every((disk) => draft.isPresent(disk))) return group;
  for (const disk of strangers) {
    if (group.insync.includes(disk)) {
      const next = mayLeave(group, disk, place, draft) ? startLeaving(group, disk, draft) : group;
      if (next !== group) return next;
    } else if (draft.zonesOf(countedOf(group, draft).filter((member) => member !== disk)) >= place.full) {
      // It is not complete: nobody reads it, and it may go at once where enough others are written to.
      const acting = group.acting.filter((member) => member !== disk);
      return withMembers(group, draft.epoch, acting, group.insync);
    }
  }
  return group;
}

/** Members that are not on their way out. */
function stayingOf(group: MapGroup): number[] {
  return group.acting.filter((disk) => group.leaving?.[disk] === undefined);
}

/** Of those, who is complete, or will be: one that joined and has no room pulls no more. */
function countedOf(group: MapGroup, draft: MapDraft): number[] {
  const joining = joiningOf(group);
  return stayingOf(group).filter((disk) => !joining.includes(disk) || !hasNoRoom(disk, draft));
}

function hasNoRoom(disk: number, draft: MapDraft): boolean {
  return draft.isPresent(disk) && draft.disk(disk)!.room === 'none';
}

/**
 * Moving data never lowers the number of copies: as many zones as are asked for hold a complete one afterwards, or as
 * many as before. Only a host that was told to go for good is let go with fewer, once all who are wanted are complete.
 */
function mayLeave(group: MapGroup, disk: number, { copies, wanted }: Place, draft: MapDraft): boolean {
  const others = group.insync.filter((member) => member !== disk);
  if (draft.zonesOf(others) >= Math.min(copies, draft.zonesOf(group.insync))) return true;
  return draft.hostOf(disk)?.standing === 'out' && wanted.every((member) => others.includes(member));
}

/** Wanted disks join at once where the group is written to in fewer zones than it can be. */
function repair(group: MapGroup, place: Place, draft: MapDraft): MapGroup {
  if (group.acting.length === 0) return group;
  const zones = new Set(countedOf(group, draft).map((disk) => draft.zoneOf(disk)));
  const missing = Math.max(0, place.full - zones.size);
  if (missing > 0) {
    const joining = joinable(group, place, draft).filter((disk) => !zones.has(draft.zoneOf(disk)));
    const chosen = joining.length > 0 ? joining : insteadOfFull(group, place, zones, draft);
    if (chosen.length > 0) return join(group, chosen.slice(0, missing), draft);
  }
  const substitute = substituteOf(group, place, draft);
  return substitute === undefined ? group : join(group, [substitute], draft);
}

/**
 * One wanted disk joins beside those that are to go, if nobody else is on the way. Where they could stay, it has ample
 * room: one that is full again before it is complete would come and go.
 */
function move(group: MapGroup, place: Place, draft: MapDraft): MapGroup {
  if (group.acting.length === 0 || joiningOf(group).length > 0) return group;
  const isKept = (disk: number) => draft.disk(disk)!.standing === 'in' && draft.hostOf(disk)?.standing === 'in';
  const mayStay = stayingOf(group).every(isKept);
  const isAmple = (disk: number) => draft.disk(disk)!.room === undefined;
  const joining = joinable(group, place, draft)
    .filter((disk) => !mayStay || isAmple(disk))
    .slice(0, 1);
  return joining.length === 0 ? group : join(group, joining, draft);
}

function joinable(group: MapGroup, { wanted }: Place, draft: MapDraft): number[] {
  return wanted.filter((disk) => !group.acting.includes(disk) && draft.mayJoin(disk));
}

function join(group: MapGroup, disks: readonly number[], draft: MapDraft): MapGroup {
  return withMembers(group, draft.epoch, [...group.acting, ...disks], group.insync, disks);
}

/** Other disks for the copies of wanted ones that are there and have no room: nobody knows when they will have some. */
function insteadOfFull(
  group: MapGroup,
  { pg, wanted }: Place,
  zones: ReadonlySet<string>,
  draft: MapDraft,
): readonly number[] {
  const missed = wanted.filter((disk) => !zones.has(draft.zoneOf(disk)));
  const awaited = missed.filter((disk) => !hasNoRoom(disk, draft)).map((disk) => draft.zoneOf(disk));
  if (awaited.length === missed.length) return [];
  const others = placementHosts(draft)
    .filter(({ zone }) => !zones.has(zone) && !awaited.includes(zone))
    .map((host) => {
      const mayJoin = ({ number }: { number: number }) => !group.acting.includes(number) && draft.mayJoin(number);
      return { ...host, disks: host.disks.filter(mayJoin) };
    });
  return wantedDisks(pg, others, missed.length - awaited.length);
}

/**
 * A group with one copy to write to does not wait for `out-after`: once a wanted host has been down for 30 s, another
 * takes a copy.
 */
function substituteOf(group: MapGroup, { pg, wanted, full }: Place, draft: MapDraft): number | undefined {
  if (group.acting.length !== 1 || full < 2) return undefined;
  const isMissed = (disk: number) => !group.acting.includes(disk) && goneMs(disk, draft) >= draft.options.loneCopyMs;
  if (!wanted.some(isMissed)) return undefined;
  const zone = draft.zoneOf(group.acting[0]!);
  const others = placementHosts(draft)
    .filter((host) => host.zone !== zone)
    .map((host) => ({ ...host, disks: host.disks.filter(({ number }) => draft.mayJoin(number)) }));
  return wantedDisks(pg, others, 1)[0];
}

function goneMs(disk: number, draft: MapDraft): number {
  const observed = draft.observedOf(disk);
  return Math.max(observed?.downMs ?? 0, observed?.keptOutMs ?? 0);
}
