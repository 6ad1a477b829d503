import type { MapGroup } from './cluster-map.js';
import type { MapDraft } from './map-draft.js';
import type { InSyncReport } from './observation.js';

/** The steps of `nextMap` that say, group by group, who is a member and whose copy is complete. Each is pure. */

/** Members of `acting` whose copy is not complete yet. */
export function joiningOf(group: MapGroup): number[] {
  return group.acting.filter((disk) => group.joined?.[disk] !== undefined);
}

/**
 * The group with other members. `since` is the epoch in which a member last changed. Who stays keeps what is known of
 * its stay; `joining` are those that start one.
 */
export function withMembers(
  group: MapGroup,
  epoch: number,
  acting: readonly number[],
  insync: readonly number[],
  joining: readonly number[] = [],
): MapGroup {
  const started = Object.fromEntries(joining.map((disk) => [disk, epoch]));
  const isPartial = (disk: number) => acting.includes(disk) && !insync.includes(disk);
  const joined = pick<number>({ ...group.joined, ...started }, isPartial);
  const leaving = pick(group.leaving ?? {}, (disk) => isPartial(disk) && started[disk] === undefined);
  return {
    acting,
    insync,
    since: isSameSet(acting, group.acting) && joining.length === 0 ? group.since : epoch,
    lossy: group.lossy,
    ...(group.forced && { forced: group.forced }),
    ...(joined && { joined }),
    ...(leaving && { leaving }),
  };
}

function pick<Value>(
  values: Readonly<Record<number, Value>>,
  keep: (disk: number) => boolean,
): Record<number, Value> | undefined {
  const kept = Object.entries(values).filter(([disk]) => keep(Number(disk)));
  return kept.length === 0 ? undefined : Object.fromEntries(kept);
}

function isSameSet(one: readonly number[], other: readonly number[]): boolean {
  return one.length === other.length && one.every((disk) => other.includes(disk));
}

/**
 * A map takes members out of `insync` only while one of those left has renewed within TTL/2 with the map's boot id. In a
 * power cut one host's heartbeat expires after the other's: none has renewed then, and the last to expire is not left
 * alone, dead, as the only one in sync.
 */
function mayLeaveOnly(left: readonly number[], draft: MapDraft): boolean {
  return left.some((disk) => draft.isFresh(disk));
}

/** The disks of a host that is down, and those that failed or vanished, leave `acting` and `insync` at once. */
export function leaveAbsent(group: MapGroup, draft: MapDraft): MapGroup {
  if (group.acting.length === 0 || group.acting.every((disk) => draft.isPresent(disk))) return group;
  const left = group.insync.filter((disk) => draft.isPresent(disk));
  if (left.length === 0) return putBack(group, draft) ?? standStill(group, draft);
  // While members that are absent may not leave `insync` they receive, that is hold up, every write: were writes
  // acknowledged without them, they could not be taken back as complete.
  const insync = mayLeaveOnly(left, draft) ? left : group.insync;
  const acting = group.acting.filter((disk) => draft.isPresent(disk) || insync.includes(disk));
  if (isSameSet(acting, group.acting) && isSameSet(insync, group.insync)) return group;
  return withMembers(group, draft.epoch, acting, insync);
}

/**
 * The last in-sync member died while another was on its way out: that one still received every write, and is put back
 * if it kept its incarnation and boot id (a member that rebooted is in `acting` no more). Null where there is none;
 * the same group where it must first be seen to renew.
 */
function putBack(group: MapGroup, draft: MapDraft): MapGroup | null {
  const candidates = Object.entries(group.leaving ?? {})
    .filter(([disk, { incarnation }]) => {
      const [host, observed] = [draft.hostOf(Number(disk)), draft.observedOf(Number(disk))];
      if (observed !== undefined && observed.incarnation !== incarnation) return false;
      return draft.isPresent(Number(disk)) && host!.incarnation === incarnation;
    })
    .map(([disk]) => Number(disk));
  if (candidates.length === 0) return null;
  if (!mayLeaveOnly(candidates, draft)) return group;
  const acting = group.acting.filter((disk) => draft.isPresent(disk));
  return withMembers(group, draft.epoch, acting, candidates);
}

/** `insync` is never emptied: when none of its members is up, `acting` is empty, `insync` stays whole, I/O stalls. */
function standStill(group: MapGroup, draft: MapDraft): MapGroup {
  return withMembers(group, draft.epoch, [], group.insync);
}

/**
 * The disks of a host that starts over and over leave, where another copy is left. Nobody is served better by a group
 * that stands still than by a host that may start once more. It is up and may be reading: who is in sync goes in two maps.
 */
export function leaveKeptOut(group: MapGroup, draft: MapDraft): MapGroup {
  const keptOut = group.acting.filter((disk) => draft.isKeptOut(disk) && draft.isPresent(disk));
  if (keptOut.length === 0) return group;
  const acting = group.acting.filter((disk) => !keptOut.includes(disk) || group.joined?.[disk] === undefined);
  if (acting.length < group.acting.length) return withMembers(group, draft.epoch, acting, group.insync);
  const going = keptOut.find((disk) => group.insync.includes(disk));
  const others = group.insync.filter((disk) => !draft.isKeptOut(disk));
  return going === undefined || !mayLeaveOnly(others, draft) ? group : startLeaving(group, going, draft);
}

/**
 * A group that stands still restarts with exactly one member of `insync` as the new `insync`; the others join and
 * recover. At once by a member with the map's boot id; by one that rebooted only when all of `insync` are back, or after
 * 30 s, and then what was acknowledged and not flushed may be lost: `lossy`.
 */
export function restart(group: MapGroup, draft: MapDraft): MapGroup {
  if (group.acting.length > 0) return group;
  const present = group.insync.filter((disk) => draft.isFresh(disk));
  const whole = present.find((disk) => !group.rebooted?.includes(disk));
  const first = whole ?? firstRebooted(group, present, draft);
  if (first === undefined) return group;
  const others = present.filter((disk) => disk !== first && !draft.isKeptOut(disk));
  const lossy = whole === undefined ? draft.epoch : group.lossy;
  return { ...withMembers(group, draft.epoch, [first, ...others], [first], others), since: draft.epoch, lossy };
}

function firstRebooted(group: MapGroup, present: readonly number[], draft: MapDraft): number | undefined {
  if (group.insync.every((disk) => present.includes(disk))) return present[0];
  return present.find((disk) => {
    return (draft.observedOf(disk)?.disks[disk]?.openMs ?? 0) >= draft.options.restartAfterMs;
  });
}

/** A new member is in `insync` once it reports everything on disk, for this stay in `acting` and no earlier one. */
export function becomeInSync(group: MapGroup, report: InSyncReport, draft: MapDraft): MapGroup {
  const { disk } = report;
  const isMember = group.acting.includes(disk) && group.joined?.[disk] === report.joined;
  if (!isMember || !draft.isPresent(disk)) return group;
  if (draft.hostOf(disk)!.incarnation !== report.incarnation) return group;
  return withMembers(group, draft.epoch, group.acting, [...group.insync, disk]);
}

/**
 * The first of the two maps of letting go: out of `insync` only. It answers no more reads under this map, and still
 * receives every write, as a host that has not adopted it may answer reads.
 */
export function startLeaving(group: MapGroup, disk: number, draft: MapDraft): MapGroup {
  const insync = group.insync.filter((member) => member !== disk);
  if (!mayLeaveOnly(insync, draft)) return group;
  const leaving = { ...group.leaving, [disk]: { epoch: draft.epoch, incarnation: draft.hostOf(disk)!.incarnation } };
  return withMembers({ ...group, leaving }, draft.epoch, group.acting, insync);
}

/** The second: out of `acting`, when its heartbeat shows that it adopted the first. One that is down has left anyway. */
export function finishLeaving(group: MapGroup, draft: MapDraft): MapGroup {
  const acting = group.acting.filter((disk) => {
    const leaving = group.leaving?.[disk];
    return leaving === undefined || (draft.observedOf(disk)?.adopted ?? 0) < leaving.epoch;
  });
  return isSameSet(acting, group.acting) ? group : withMembers(group, draft.epoch, acting, group.insync);
}
