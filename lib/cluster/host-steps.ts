import type { DiskStanding, MapDisk, MapHost, Standing } from './cluster-map.js';
import type { MapDraft } from './map-draft.js';
import type { DiskFailedReport, Observed } from './observation.js';

/** The steps of `nextMap` that say which hosts are up and which disks may be used. */

/**
 * The transaction that stores the map compares a revision for each host that it marks down, and a transaction takes 128
 * comparisons. The next map marks the others.
 */
export const DOWN_PER_MAP_MAX = 100;

/** Takes over what the records say of hosts and disks: new ones, what the administrator wants of them. */
export function registerHosts(draft: MapDraft): void {
  for (const { id, zone, disks } of draft.records.values()) {
    const { zone: _, ...host } = draft.host(id) ?? { up: false, standing: 'in', incarnation: 0, bootId: '' };
    draft.setHost(id, zone === id ? host : { ...host, zone });
    // Absent until its host reports it open.
    for (const { number } of disks) {
      if (draft.disk(number) === undefined) draft.setDisk(number, { host: id, standing: 'in', absent: true });
    }
  }
}

/**
 * A host is down when its heartbeat was seen unchanged for a full TTL, or when one with another boot id shows that the
 * kernel which the map has it up with is gone.
 */
export function markDown(draft: MapDraft): void {
  let marks = 0;
  for (const id of draft.hostIds) {
    const host = draft.host(id)!;
    const observed = draft.observed(id);
    if (!host.up || observed === undefined || marks === DOWN_PER_MAP_MAX) continue;
    if (observed.unchangedMs < draft.options.ttlMs && !hasRebooted(host, observed)) continue;
    draft.setHost(id, { ...host, up: false });
    marks++;
  }
}

function hasRebooted(host: MapHost, observed: Observed): boolean {
  return observed.incarnation > host.incarnation && observed.bootId !== host.bootId;
}

/**
 * A host that was down comes up only with a higher incarnation, and only while it renews: what it wrote before it died
 * may still be there. One that rebooted also waits until no group that is served counts on its copy any more.
 */
export function comeUp(draft: MapDraft): void {
  const relied = reliedOn(draft);
  for (const id of draft.hostIds) {
    const host = draft.host(id)!;
    const observed = draft.observed(id);
    if (observed === undefined || observed.evicted || !draft.hasRenewed(observed)) continue;
    if (observed.incarnation <= host.incarnation || (draft.records.get(id)?.banned ?? true)) continue;
    const { incarnation, bootId } = observed;
    // A worker that restarted under the same kernel lost nothing: it stays what it was.
    if (bootId !== host.bootId) {
      const disks = draft.diskNumbers.filter((disk) => draft.disk(disk)!.host === id);
      if (disks.some((disk) => relied.has(disk))) continue;
      markRebooted(draft, new Set(disks));
    }
    draft.setHost(id, { ...host, up: true, incarnation, bootId });
  }
}

/** Disks that are in `insync` of a group which has members to write to. */
function reliedOn(draft: MapDraft): Set<number> {
  const disks = new Set<number>();
  for (const { groups } of draft.tables) {
    for (const { acting, insync } of groups) if (acting.length > 0) for (const disk of insync) disks.add(disk);
  }
  return disks;
}

/** Groups that stand still remember which members of `insync` lost what they had not synced. */
export function markRebooted(draft: MapDraft, disks: ReadonlySet<number>): void {
  draft.changeGroups((group) => {
    if (group.acting.length > 0) return group;
    const before = group.rebooted ?? [];
    const more = group.insync.filter((disk) => disks.has(disk) && !before.includes(disk));
    return more.length === 0 ? group : { ...group, rebooted: [...before, ...more] };
  });
}

/** What the administrator wants of a host, and `out` where it has been down for so long that its data goes elsewhere. */
export function setHostStandings(draft: MapDraft): void {
  for (const id of draft.hostIds) {
    const host = draft.host(id)!;
    draft.setHost(id, { ...host, standing: standingOf(draft, id, host) });
  }
}

function standingOf(draft: MapDraft, id: string, host: MapHost): Standing {
  const record = draft.records.get(id);
  if (record === undefined || record.banned) return 'out';
  const observed = draft.observed(id);
  const { outAfterMs } = draft.options;
  if (!host.up && (observed?.downMs ?? 0) >= outAfterMs) return 'out';
  if ((observed?.keptOutMs ?? 0) >= outAfterMs) return 'out';
  // A conductor that takes over starts its own clock, and is not to call the data back to a host that is still down.
  if (!host.up && host.standing === 'out') return 'out';
  return record.standing;
}

/**
 * A disk that failed stays so until its record says otherwise. One that its host does not report open is absent, and one
 * that was opened fewer times than is recorded is an old image of itself, which nobody may trust again.
 */
export function setDiskStandings(draft: MapDraft, failures: readonly DiskFailedReport[]): void {
  const relied = reliedOn(draft);
  for (const number of draft.diskNumbers) {
    const disk = draft.disk(number)!;
    const standing = hasFailed(draft, number, failures) ? 'failed' : recordedStanding(draft, number);
    // It comes back as a disk of a host that rebooted, so first nobody may count on what it had.
    const mayReturn = !relied.has(number);
    draft.setDisk(number, {
      host: disk.host,
      standing: disk.standing === 'failed' && !mayReturn ? 'failed' : standing,
      ...(isAbsent(draft, number, mayReturn) ? { absent: true } : {}),
      ...roomOf(draft, number),
    });
  }
}

function hasFailed(draft: MapDraft, number: number, failures: readonly DiskFailedReport[]): boolean {
  const host = draft.hostOf(number);
  if (failures.some(({ disk, incarnation }) => disk === number && incarnation === host?.incarnation)) return true;
  const report = presentReport(draft, number);
  const [open, record] = [report?.disks[number], draft.diskRecord(number)];
  if (report === undefined || open === undefined || record === undefined) return false;
  // It tells of an open before the one on record, of which nothing is known yet: an old image stays what it is.
  if (report.incarnation < (record.openedBy ?? 0)) return draft.disk(number)!.standing === 'failed';
  return open.opens < record.opens;
}

function recordedStanding(draft: MapDraft, number: number): DiskStanding {
  const record = draft.records.get(draft.disk(number)!.host);
  if (record === undefined || record.banned || record.bannedDisks.includes(number)) return 'failed';
  return draft.diskRecord(number)?.standing ?? 'failed';
}

function isAbsent(draft: MapDraft, number: number, mayReturn: boolean): boolean {
  const wasAbsent = draft.disk(number)!.absent === true;
  const report = presentReport(draft, number);
  if (report === undefined) return wasAbsent;
  if (report.disks[number] === undefined) return true;
  return wasAbsent && !mayReturn;
}

/** By the newest word of its host. */
function roomOf(draft: MapDraft, number: number): Pick<MapDisk, 'room'> {
  const report = presentReport(draft, number);
  const room = report?.disks[number] ? report.disks[number].room : draft.disk(number)!.room;
  return room === undefined || room === 'ample' ? {} : { room };
}

/** What the host of the disk reports, where it is the incarnation that the map has up. */
function presentReport(draft: MapDraft, number: number): Observed | undefined {
  const host = draft.hostOf(number);
  const observed = draft.observedOf(number);
  return host?.up && observed?.incarnation === host.incarnation ? observed : undefined;
}

/**
 * Of the groups that stand still: a disk that failed, or was absent while its host was up, comes back as rebooted. Its
 * host may have died since, before anybody could go on without it.
 */
export function markLostDisks(draft: MapDraft): void {
  const lost = draft.diskNumbers.filter((number) => {
    const { standing, absent } = draft.disk(number)!;
    return standing === 'failed' || absent;
  });
  if (lost.length > 0) markRebooted(draft, new Set(lost));
}

/** Forgets disks and hosts that no record has and no group names. */
export function forgetRemoved(draft: MapDraft): void {
  const disks = draft.diskNumbers.filter((number) => draft.diskRecord(number) === undefined);
  if (disks.length > 0) {
    const named = new Set(draft.tables.flatMap(({ groups }) => groups.flatMap((g) => [...g.acting, ...g.insync])));
    for (const number of disks) if (!named.has(number)) draft.forgetDisk(number);
  }
  const owners = new Set(draft.diskNumbers.map((number) => draft.disk(number)!.host));
  for (const id of draft.hostIds) {
    if (!draft.records.has(id) && !draft.host(id)!.up && !owners.has(id)) draft.forgetHost(id);
  }
}
