import { strict as assert } from 'node:assert';
import { type ClusterMap, isDiskUp, type MapGroup, mayServe, zonesOf } from '../../lib/cluster/cluster-map.js';
import type { MapCopies } from './map-copies.js';

/** So long one that rebooted waits for the others. */
const RESTART_MS = 30_000;

/** What a map is judged by besides the one before it. */
export interface MapKnowledge {
  readonly copies: MapCopies;
  readonly movesMax: number;
  /** Known to us and not to the conductor yet: what the map has up there is gone. It serves nobody. */
  isKnownDead(disk: number): boolean;
  /** Whether its host renewed within half a TTL of the look that the map was made by, with the boot id that it has. */
  hasRenewed(disk: number): boolean;
  /** For how long its host has it open, in its present incarnation. */
  openMs(disk: number): number;
  /** Given up by force: it never comes back, and may be taken out of `insync` whoever is left. */
  isBanned(disk: number): boolean;
  /** Nobody can give what it had back: banned, or an old image is in its place. */
  isGone(disk: number): boolean;
  /** Whether its host is told to go, or starts over and over, or the administrator takes the disk away. */
  mayShrink(disk: number): boolean;
}

type Table = readonly MapGroup[];

/** What section 6 of the design says of each map and the one before. Throws where one breaks it. */
export function checkMap(before: ClusterMap, next: ClusterMap, knowledge: MapKnowledge): { restarts: number } {
  assert.equal(next.epoch, before.epoch + 1, 'an epoch grows by one');
  const [old, table] = [before.tables[3] ?? [], next.tables[3] ?? []] as const;
  let restarts = 0;
  table.forEach((group, pg) => {
    const name = `epoch ${next.epoch} group ${pg}: ${JSON.stringify(old[pg])} → ${JSON.stringify(group)}`;
    checkGroup(next, pg, group, name, knowledge);
    if (old[pg] !== undefined && checkChange(next, pg, old[pg], group, name, knowledge)) restarts++;
  });
  checkMoves(old, table, next, knowledge);
  for (const [id, host] of Object.entries(next.hosts)) {
    const was = before.hosts[id];
    if (was === undefined || !host.up) continue;
    assert.ok(host.incarnation >= was.incarnation, `${id} is up with a lower incarnation`);
    if (!was.up) assert.ok(host.incarnation > was.incarnation, `${id} comes up without a higher incarnation`);
  }
  return { restarts };
}

function checkGroup(map: ClusterMap, pg: number, group: MapGroup, name: string, { copies, isGone }: MapKnowledge) {
  assert.ok(group.insync.length > 0, `insync is empty: ${name}`);
  if (group.acting.length === 0) {
    // Nobody is left who could restart it but by losing what was flushed.
    const isIntact = (disk: number) => !isGone(disk) && copies.hasFlushed(pg, disk);
    assert.ok(group.insync.every(isGone) || group.insync.some(isIntact), `it can never restart whole: ${name}`);
    return;
  }
  const written = group.insync.every((disk) => group.acting.includes(disk));
  assert.ok(written, `a complete copy is not written to: ${name}`);
  for (const disk of group.acting) {
    const isKnown = group.insync.includes(disk) || group.leaving?.[disk] || group.joined?.[disk] !== undefined;
    assert.ok(isKnown, `disk ${disk} is neither in sync, nor joining, nor leaving: ${name}`);
    if (group.joined?.[disk] === map.epoch) copies.of(pg, disk).lacks = true;
  }
}

/** Answers whether the group restarted. */
function checkChange(
  map: ClusterMap,
  pg: number,
  before: MapGroup,
  group: MapGroup,
  name: string,
  knowledge: MapKnowledge,
): boolean {
  const { copies, isKnownDead, hasRenewed } = knowledge;
  if (before === group) return false;
  // One map may find a group standing still and restart it.
  if (group.acting.length > 0 && (before.acting.length === 0 || group.lossy === map.epoch)) {
    checkRestart(map, pg, before, group, name, knowledge);
    return true;
  }
  if (group.acting.length > 0 && before.acting.some((disk) => !group.acting.includes(disk))) {
    assert.equal(group.since, map.epoch, `a member went, and since is the same: ${name}`);
  }
  if (group.acting.some((disk) => !before.acting.includes(disk))) {
    assert.equal(group.since, map.epoch, `a member came, and since is the same: ${name}`);
  }
  const gone = before.insync.filter((disk) => !group.insync.includes(disk));
  if (group.acting.length > 0 && gone.length > 0) {
    const mayGo = gone.every(knowledge.isBanned) || group.insync.some(hasRenewed);
    assert.ok(mayGo, `nobody of those left in sync has renewed: ${name}`);
    const stayed = before.insync.filter((disk) => group.insync.includes(disk) || group.leaving?.[disk]);
    const kept = stayed.filter((disk) => !(group.leaving?.[disk] && knowledge.mayShrink(disk)));
    const lowest = Math.min(3, zonesOf(map, kept));
    if (kept.some((disk) => group.leaving?.[disk]))
      assert.ok(zonesOf(map, group.insync) >= lowest, `a move lowers copies: ${name}`);
  }
  for (const disk of group.insync.filter((member) => !before.insync.includes(member))) {
    if (!isKnownDead(disk)) copies.checkComplete(pg, disk, name);
  }
  return false;
}

function checkRestart(
  map: ClusterMap,
  pg: number,
  before: MapGroup,
  group: MapGroup,
  name: string,
  { copies, isKnownDead, isGone, openMs }: MapKnowledge,
): void {
  assert.equal(group.insync.length, 1, `not exactly one restarted: ${name}`);
  assert.equal(group.since, map.epoch, `it restarted under the same since: ${name}`);
  const disk = group.insync[0]!;
  if (group.forced === map.epoch) {
    assert.equal(group.lossy, map.epoch, `it restarted from a chosen copy without lossy: ${name}`);
    copies.accept(pg, disk);
    return;
  }
  assert.ok(!copies.of(pg, disk).lacks, `an incomplete copy restarted: ${name}`);
  assert.ok(copies.hasFlushed(pg, disk), `flushed data is lost: ${name}`);
  if (group.lossy === map.epoch) {
    const areBack = before.insync.every((each) => isGone(each) || (isDiskUp(map, each) && mayServe(map, each)));
    assert.ok(areBack || openMs(disk) >= RESTART_MS, `one that rebooted did not wait: ${name}`);
    copies.restart(pg, disk);
  } else if (!isKnownDead(disk)) copies.checkComplete(pg, disk, `restarted without lossy: ${name}`);
}

function checkMoves(old: Table, table: Table, map: ClusterMap, { movesMax }: MapKnowledge): void {
  const isMoving = (group: MapGroup | undefined) => {
    if (group?.joined === undefined) return false;
    // One that is written to in fewer zones without those that join is being repaired.
    return (
      zonesOf(
        map,
        group.acting.filter((disk) => !group.leaving?.[disk] && !group.joined?.[disk]),
      ) >= 3
    );
  };
  const begun = table.filter((group, pg) => {
    const earlier = old[pg];
    // One that is on its way already may be joined by a host that returns: that repairs, and moves nothing.
    return isMoving(group) && earlier?.joined === undefined && (earlier?.acting.length ?? 0) > 0;
  }).length;
  if (table.filter(isMoving).length > movesMax) assert.equal(begun, 0, 'more groups move than may');
}
