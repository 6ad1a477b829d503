import { test } from 'brittle';
import type { ClusterMap, MapGroup } from '../lib/cluster/cluster-map.js';
import { IndexLocks } from '../lib/replication/index-locks.js';
import type { Inquiries } from '../lib/replication/inquiries.js';
import { NO_LAYER_RULES } from '../lib/replication/layer-rules.js';
import { Recovery } from '../lib/replication/recovery.js';
import { type GroupLayout, type ListedEntry, listGroup } from '../lib/store/group-list.js';
import { describeIndex, readBlocks } from '../lib/store/object-pull.js';
import { writeObject } from '../lib/store/object-write.js';
import { retireObjects } from '../lib/store/retirement.js';
import { GROUPS, groupOf, newDisk } from './helpers/disks.js';
import { mapOf } from './helpers/member-script.js';
import { StepClock } from './helpers/step-clock.js';
import { until } from './helpers/until.js';

const GROUP = { copies: 3, pg: 0 };
const LAYOUT: GroupLayout = { groupCount: GROUPS, groupOf, has: () => true };
const FAMILY = 16;
/** Of group 0. */
const INDEX = Array.from({ length: GROUPS }, (_, index) => index).find((index) => groupOf(FAMILY, index) === 0)!;
const DISK = 2;
const SYNCED_UNTIL = 25;
const FORCED = 40;

test('a group that a chosen copy restarted is compared whole, whatever a disk knows of having been in sync', async (t) => {
  for (const [forced, expected] of [
    [undefined, []],
    [FORCED, [INDEX]],
  ] as const) {
    const disk = await newDisk(t, { replicated: true, durableActivity: false }, DISK);
    // Written when the copy that was chosen was no member any more.
    await writeObject(
      disk,
      { pg: 0, family: FAMILY, index: INDEX },
      [{ layer: 1, limit: 0 }],
      0,
      Buffer.alloc(512),
      20,
    );
    await retireObjects(disk, [{ family: FAMILY, index: INDEX, layer: 1, generation: 9, sequence: 9 }]);
    await disk.groups.setInsync([GROUP], SYNCED_UNTIL);
    const theirs = [];
    for await (const entries of listGroup(disk, LAYOUT, 0)) theirs.push(...entries);
    const entries = theirs.map((entry) => ({ ...entry, modified: 10, active: false }));
    const asked: unknown[] = [];
    const joining: Partial<MapGroup> = {
      acting: [1, DISK],
      insync: [1],
      since: FORCED + 1,
      joined: { [DISK]: FORCED + 1 },
    };
    const map = mapOf(FORCED + 1, [{ ...joining, ...(forced && { forced }) }]);
    const inquiries = {
      ask: (_: string, build: (request: number) => { type: string; request: number; index?: number }) => {
        const message = build(asked.length);
        if (message.type === 'list')
          return { answer: Promise.resolve({ body: { entries, complete: true } }), cancel() {} };
        asked.push(message.index);
        return { answer: new Promise(() => undefined), cancel() {} };
      },
    } as unknown as Inquiries;
    const recovery = new Recovery(disk, new IndexLocks(), {
      ...{ clock: new StepClock(), inquiries, bootId: 'b1', map: () => map, fetchMap: () => undefined },
      ...{
        layout: () => LAYOUT,
        layers: NO_LAYER_RULES,
        settled: () => Promise.resolve(),
        bytesPerSecond: 1e9,
        isBusy: () => false,
        onInstalled: () => Promise.resolve(),
      },
      onChange: () => undefined,
      onPulled: () => undefined,
      onError: (error) => t.fail(String(error)),
    });
    t.teardown(() => recovery.close());
    recovery.mapAdopted(map);
    await until('it pulls, or is complete', () => asked.length > 0 || recovery.completed.length > 0);
    t.alike(asked, expected);
  }
});

test('groups that have nobody to pull from wait, and do not have one another try again', async (t) => {
  const disk = await newDisk(t, { replicated: true, durableActivity: false }, DISK);
  const joining: Partial<MapGroup> = { acting: [1, DISK], insync: [1], since: 3, joined: { [DISK]: 3 } };
  const mapWith = (groups: number): ClusterMap => {
    const map = mapOf(3, Array<Partial<MapGroup>>(groups).fill(joining));
    const hosts = Object.entries(map.hosts).map(([id, host]) => [id, { ...host, up: id !== map.disks[1]?.host }]);
    return { ...map, hosts: Object.fromEntries(hosts) };
  };
  let map = mapWith(1);
  let looks = 0;
  const clock = new StepClock();
  const recovery = new Recovery(disk, new IndexLocks(), {
    ...{ clock, inquiries: {} as Inquiries, bootId: 'b1', fetchMap: () => undefined },
    map: () => {
      if (++looks > 1000) throw new Error('it looks again and again');
      return map;
    },
    ...{ layout: () => LAYOUT, layers: NO_LAYER_RULES, settled: () => Promise.resolve(), bytesPerSecond: 1e9 },
    ...{ isBusy: () => false, onInstalled: () => Promise.resolve(), onChange: () => undefined },
    onPulled: () => undefined,
    onError: (error) => t.fail(String(error)),
  });
  const isStored = (pg: number) => disk.groups.get({ copies: 3, pg }) !== null;
  recovery.mapAdopted(map);
  await until('the first has looked', () => isStored(0));
  // Not in step with the first.
  map = mapWith(2);
  recovery.mapAdopted(map);
  await until('the second has looked', () => isStored(1));
  await clock.pass(2000);
  recovery.close();
  t.ok(looks < 100, `${looks} looks`);
});

test('what is written at the source while an index is pulled makes its copy as new, and active', async (t) => {
  const options = { replicated: true, durableActivity: false };
  const [source, disk] = [await newDisk(t, options, 1), await newDisk(t, options, DISK)];
  const place = { pg: 0, family: FAMILY, index: INDEX };
  const order = { vdi: 7, generation: 9, sequence: 0 };
  await writeObject(source, place, [{ layer: 1, limit: 0 }], 0, Buffer.alloc(512, 1), 20, order);
  await source.flushAll();
  await retireObjects(source, [{ family: FAMILY, index: INDEX, layer: 1, generation: 9, sequence: 0 }]);
  const theirs: ListedEntry[] = [];
  for await (const entries of listGroup(source, LAYOUT, 0)) theirs.push(...entries);
  const none = { ranges: [], incomplete: [], lost: false };
  const later = { ...order, sequence: 1, family: FAMILY, index: INDEX, offset: 0, length: 512 };
  let isWritten = false;
  const answer = async (message: { type: string; layer: number; serial: number; ranges: { length: number }[] }) => {
    const doubts = isWritten ? { ...none, ranges: [later] } : none;
    if (message.type === 'list') return { entries: theirs, complete: true };
    if (message.type === 'describe') return { description: await describeIndex(source, place), doubts };
    if (!isWritten) await writeObject(source, place, [{ layer: 1, limit: 0 }], 0, Buffer.alloc(512, 2), 30, later);
    isWritten = true;
    const { layer, serial, ranges } = message;
    const block = await readBlocks(source, place, { layer, serial, offset: 0, length: ranges[0]!.length });
    return { blocks: [block], doubts: { ...none, ranges: [later] } };
  };
  const inquiries = {
    ask: (_: string, build: (request: number) => Parameters<typeof answer>[0]) => {
      return { answer: answer(build(1)).then((body) => ({ body })), cancel() {} };
    },
  } as unknown as Inquiries;
  const joining: Partial<MapGroup> = { acting: [1, DISK], insync: [1], since: 30, joined: { [DISK]: 30 } };
  const map = mapOf(30, [joining]);
  const clock = new StepClock();
  const recovery = new Recovery(disk, new IndexLocks(), {
    ...{ clock, inquiries, bootId: 'b1', map: () => map, fetchMap: () => undefined },
    ...{ layout: () => LAYOUT, layers: NO_LAYER_RULES, settled: () => Promise.resolve(), bytesPerSecond: 1e9 },
    ...{ isBusy: () => false, onInstalled: () => Promise.resolve(), onChange: () => undefined },
    onPulled: () => undefined,
    onError: (error) => t.fail(String(error)),
  });
  t.teardown(() => recovery.close());
  recovery.mapAdopted(map);
  await until('it is complete', async () => {
    await clock.pass(100);
    return recovery.completed.length > 0;
  });
  const [found] = disk.index.scan(FAMILY, INDEX, INDEX + 1, 1);
  t.is(found?.modified, 30, 'who has missed the write finds that by its age');
  t.ok(disk.index.isActive(FAMILY, INDEX, 1));
});
