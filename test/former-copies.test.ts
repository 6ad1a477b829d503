import { type Assertions, test } from 'brittle';
import { type ClusterMap, isFullWithout, type MapHost, zonesForData } from '../lib/cluster/cluster-map.js';
import { FormerCopies } from '../lib/replication/former-copies.js';
import { IndexLocks } from '../lib/replication/index-locks.js';
import { type GroupLayout, listGroup } from '../lib/store/group-list.js';
import type { Disk } from '../lib/store/index.js';
import { type Releasable, writeObject } from '../lib/store/object-write.js';
import { GROUPS, groupOf, newDisk, openDisk } from './helpers/disks.js';
import { mapOf } from './helpers/member-script.js';
import { StepClock } from './helpers/step-clock.js';
import { until } from './helpers/until.js';

const GROUP = { copies: 3, pg: 0 };
const LAYOUT: GroupLayout = { groupCount: GROUPS, groupOf, has: () => true };
const FAMILY = 16;
/** Of two commits of a deletion. */
const INDEXES = 400;
const KEPT_MS = 1000;
const BUSY = 300 * GROUPS;
/** Of the fourth host, which the group does not need. */
const DISK = 4;
/** A group that the map does not have. */
const OTHER = 5;
const FULL = { acting: [1, 2, 3], insync: [1, 2, 3] };

/** A disk that was in sync in the group, and has `INDEXES` of it and one index of another. */
async function formerMember(t: Assertions): Promise<Disk> {
  const disk = await newDisk(t, { replicated: true, durableActivity: false }, DISK);
  for (let count = 0; count < INDEXES; count++) await write(disk, count * GROUPS);
  await write(disk, OTHER);
  await disk.groups.setInsync([GROUP, { ...GROUP, pg: OTHER }], 5);
  return disk;
}

function write(disk: Disk, index: number): Promise<void> {
  const place = { pg: groupOf(FAMILY, index), family: FAMILY, index };
  return writeObject(disk, place, [{ layer: 1, limit: 0 }], 0, Buffer.alloc(512, 1), 1);
}

async function count(disk: Disk, pg: number): Promise<number> {
  let total = 0;
  for await (const entries of listGroup(disk, LAYOUT, pg)) total += entries.length;
  return total;
}

function formerCopies(t: Assertions, disk: Disk, clock: StepClock, locks = new IndexLocks()): FormerCopies {
  const former = new FormerCopies(disk, locks, {
    ...{ clock, keptMs: KEPT_MS, layout: () => LAYOUT, idle: () => Promise.resolve() },
    onError: (error) => t.fail(String(error)),
  });
  t.teardown(() => former.close(), { force: true });
  return former;
}

test('what a disk has of a group goes when all copies that there can be are complete without it', async (t) => {
  const disk = await formerMember(t);
  const clock = new StepClock();
  const former = formerCopies(t, disk, clock);
  // One copy is missing, then it is not complete.
  for (const [epoch, acting] of [
    [6, [1, 2]],
    [7, [1, 2, 3]],
  ] as const) {
    former.mapAdopted(mapOf(epoch, [{ acting, insync: [1, 2] }]));
    await clock.pass(KEPT_MS * 20);
  }
  t.is(disk.groups.get(GROUP)?.insyncEpoch, 5);
  former.mapAdopted(mapOf(8, [FULL]));
  await clock.pass(KEPT_MS / 2);
  t.is(await count(disk, 0), INDEXES, 'it is kept for a while');
  await clock.pass(KEPT_MS * 10);
  await until('it is gone', async () => {
    await clock.pass(100);
    return disk.groups.get(GROUP) === null;
  });
  t.is(await count(disk, 0), 0);
  t.is(await count(disk, OTHER), 1, 'the group that the map does not have stays');
});

test('a group is full with a copy in each zone that can have one', (t) => {
  const map = (hosts: Record<string, Partial<MapHost>>, insync = [1, 2]) =>
    mapOf(6, [{ acting: insync, insync }], hosts);
  const isFull = (of: ClusterMap) => isFullWithout(of, GROUP, DISK, zonesForData(of));
  t.absent(isFull(map({})), 'three of four hosts could have one');
  t.ok(isFull(map({ b: { zone: 'r' }, c: { zone: 'r' }, d: { zone: 'r' } })));
  t.absent(isFull(map({ a: { zone: 'r' }, b: { zone: 'r' } })), 'two in one zone are not two');
  t.ok(isFull(map({ c: { standing: 'out' }, d: { standing: 'draining' } })));
  t.absent(isFull(map({ c: { up: false }, d: { standing: 'draining' } })), 'a host that is down keeps its place');
  t.absent(isFull(map({}, [1, 2, DISK])), 'it is a member');
  t.absent(isFull(mapOf(6, [{ acting: [], insync: [1, 2, 3] }])), 'who stands still may have lost what this has');
});

test('a disk that becomes a member again keeps what is left, and does not pass for complete', async (t) => {
  const disk = await formerMember(t);
  const clock = new StepClock();
  const asked = new Set<number>();
  const locks = new (class extends IndexLocks {
    override exclusive(family: number, index: number): Promise<Releasable> {
      asked.add(index);
      return super.exclusive(family, index);
    }
  })();
  // Somebody works on an index of the second batch.
  const busy = await locks.exclusive(FAMILY, BUSY);
  asked.clear();
  const former = formerCopies(t, disk, clock, locks);
  former.mapAdopted(mapOf(8, [FULL]));
  await until('the first batch is gone', async () => {
    await clock.pass(1000);
    return asked.has(BUSY);
  });
  t.is(disk.groups.get(GROUP)?.insyncEpoch, null, 'first of all it has erased that it was in sync');
  const again = mapOf(9, [{ acting: [1, 2, 3, DISK], insync: [1, 2, 3], since: 9, joined: { [DISK]: 9 } }]);
  await former.prepare(again);
  former.mapAdopted(again);
  let isSettled = false;
  const settled = former.settled(GROUP).then(() => {
    isSettled = true;
  });
  await clock.pass(1000);
  t.absent(isSettled, 'who compares waits for the commit that is under way');
  busy.release();
  await settled;
  const left = await count(disk, 0);
  t.ok(left < INDEXES);
  await clock.pass(KEPT_MS * 10);
  t.is(await count(disk, 0), left);
  t.alike(disk.groups.get(GROUP), { ...GROUP, insyncEpoch: null, stay: null, toDo: 0 });
});

test('a deletion that was broken off goes on with the next worker', async (t) => {
  const disk = await formerMember(t);
  const clock = new StepClock();
  const former = formerCopies(t, disk, clock);
  const map = mapOf(8, [FULL]);
  former.mapAdopted(map);
  await until('some are gone', async () => {
    await clock.pass(100);
    return (await count(disk, 0)) < INDEXES;
  });
  former.close();
  let isSettled = false;
  void former.settled(GROUP).then(() => {
    isSettled = true;
  });
  await until('the last commit has ended', async () => {
    await clock.pass(100);
    return isSettled;
  });
  await disk.close();
  const reopened = await openDisk(t, disk.directory, { replicated: true });
  t.ok(reopened.groups.get(GROUP), 'the record stays to the end');
  const next = formerCopies(t, reopened, clock);
  next.mapAdopted(map);
  await until('it is gone', async () => {
    await clock.pass(1000);
    return reopened.groups.get(GROUP) === null;
  });
  t.is(await count(reopened, 0), 0);
});
