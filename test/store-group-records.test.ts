import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'brittle';
import { deleteGroup } from '../lib/store/delete-group.js';
import { type GroupLayout, type ListedEntry, listGroup } from '../lib/store/group-list.js';
import type { Disk, DiskOptions } from '../lib/store/index.js';
import { writeObject } from '../lib/store/object-write.js';
import { GROUPS, groupOf, killedCopy, newDisk, openDisk } from './helpers/disks.js';
import { Random } from './helpers/random.js';
import { until } from './helpers/until.js';

/** Without a sync for each object. */
const QUICK: DiskOptions = { replicated: true, durableActivity: false };

/** Families with even numbers have two copies, the others three. */
const layoutOf = (copies: number): GroupLayout => ({
  groupCount: GROUPS,
  groupOf,
  has: (family) => (family % 2 === 0 ? 2 : 3) === copies,
});

async function listAll(disk: Disk, copies: number, pg: number): Promise<ListedEntry[]> {
  const found: ListedEntry[] = [];
  for await (const entries of listGroup(disk, layoutOf(copies), pg)) found.push(...entries);
  return found;
}

function write(disk: Disk, family: number, index: number, layer: number, epoch = 1): Promise<void> {
  const place = { pg: groupOf(family, index), family, index };
  return writeObject(disk, place, [{ layer, limit: 0 }], 0, Buffer.alloc(512, 1), epoch);
}

test('records of groups are kept by copies and number, and never go back', async (t) => {
  const disk = await newDisk(t, { replicated: true });
  const [two, three] = [
    { copies: 2, pg: 7 },
    { copies: 3, pg: 7 },
  ];
  t.is(disk.groups.get(two), null);
  await disk.groups.setInsync([two, three], 5);
  await disk.groups.setInsync([two], 9);
  await disk.groups.setInsync([two], 6);
  await disk.toDo.store(three, { epoch: 8, bootId: 'boot' }, []);
  await disk.groups.eraseInsync(three);
  const expected = [
    { ...two, insyncEpoch: 9, stay: null, toDo: 0 },
    { ...three, insyncEpoch: null, stay: { epoch: 8, bootId: 'boot' }, toDo: 0 },
  ];
  t.alike(disk.groups.all(), expected);
  const copy = await openDisk(t, await killedCopy(t, disk));
  t.alike(copy.groups.all(), expected);
  await copy.toDo.drop(three);
  const nothing = { insyncEpoch: null, stay: null, toDo: 0 };
  t.alike(copy.groups.get(three), { ...three, ...nothing }, 'there may be objects still');
  await copy.groups.setInsync([three], 10);
  await deleteGroup(copy, layoutOf(3), three);
  t.is(copy.groups.get(three), null);
});

test('a list of a group has all of its families and layers, and nothing else', async (t) => {
  const seed = Date.now() % 1e6;
  t.comment(`seed ${seed}`);
  const random = new Random(seed);
  const disk = await newDisk(t, QUICK);
  const expected = new Map<string, string>();
  for (let count = 0; count < 120; count++) {
    const family = 1 + random.below(5);
    // Far apart too, as in an image that is nearly empty.
    const index = random.below(2) === 0 ? random.below(40) : random.below(2 ** 31);
    const layer = 1 + random.below(3);
    await write(disk, family, index, layer, 1 + random.below(9));
    const copies = family % 2 === 0 ? 2 : 3;
    expected.set(`${family}/${index}/${layer}`, `${copies}/${groupOf(family, index)}`);
  }
  for (const copies of [2, 3]) {
    for (let pg = 0; pg < GROUPS; pg++) {
      const entries = await listAll(disk, copies, pg);
      const wanted = [...expected].filter(([, group]) => group === `${copies}/${pg}`).map(([name]) => name);
      t.alike(entries.map(({ family, index, layer }) => `${family}/${index}/${layer}`).sort(), wanted.sort());
      t.ok(entries.every((entry) => entry.active && entry.kind === 1 && entry.modified > 0));
      for (const { family, index } of entries.slice(0, 3)) {
        const rest: ListedEntry[] = [];
        for await (const more of listGroup(disk, layoutOf(copies), pg, { family, index })) rest.push(...more);
        const isBehind = (entry: ListedEntry) =>
          entry.family > family || (entry.family === family && entry.index > index);
        t.alike(rest, entries.filter(isBehind));
      }
    }
  }
});

test('deleting a group erases its record first, can be broken off, and leaves the others', async (t) => {
  const disk = await newDisk(t, QUICK);
  for (const family of [1, 2, 3]) {
    for (let index = 0; index < 64; index++) await write(disk, family, index, 1 + (index % 2));
  }
  await disk.flushAll();
  const group = { copies: 3, pg: groupOf(1, 4) };
  await disk.groups.setInsync([group], 5);
  await disk.toDo.store(group, { epoch: 6, bootId: 'boot' }, [{ family: 1, index: 4 }]);
  const before = await listAll(disk, 3, group.pg);
  const others = await listAll(disk, 2, group.pg);
  const stop = new AbortController();
  stop.abort();
  await deleteGroup(disk, layoutOf(3), group, { signal: stop.signal });
  const nothing = { insyncEpoch: null, stay: null, toDo: 0 };
  t.alike(
    disk.groups.get(group),
    { ...group, ...nothing },
    'it does not say that it was in sync, and nothing else is gone',
  );
  t.alike(await listAll(disk, 3, group.pg), before);

  await deleteGroup(disk, layoutOf(3), group);
  t.alike(await listAll(disk, 3, group.pg), []);
  t.is(disk.groups.get(group), null, 'the record is gone');
  t.alike(await listAll(disk, 2, group.pg), others, 'of the other table');
  t.is(disk.index.objects, 192 - before.length);
  const names = () => readdir(join(disk.directory, 'objects', String(group.pg)));
  await until('the files are unlinked', async () => (await names()).length === others.length);
  t.absent(
    [...disk.index.activeObjects()].some(({ family, index }) => family !== 2 && groupOf(family, index) === group.pg),
  );
});
