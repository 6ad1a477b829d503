import { test } from 'brittle';
import { listGroup } from '../lib/store/group-list.js';
import type { Disk } from '../lib/store/index.js';
import { discardEntry } from '../lib/store/object-discard.js';
import { mergeObject } from '../lib/store/object-merge.js';
import { tryWrite, writeObject } from '../lib/store/object-write.js';
import { raiseModified } from '../lib/store/raise-modified.js';
import { activeOfLayers, activeOfVdi, forgetActivity, retireObjects } from '../lib/store/retirement.js';
import { GROUPS, groupOf, killedCopy, newDisk, openDisk } from './helpers/disks.js';

const REPLICATED = { replicated: true };

function write(disk: Disk, index: number, sequence: number, layer = 1, vdi = 9, generation = 2): Promise<void> {
  const place = { pg: groupOf(7, index), family: 7, index };
  const order = { vdi, generation, sequence };
  return writeObject(disk, place, [{ layer, limit: 0 }], 0, Buffer.alloc(512, 1), 3, order);
}

const retirement = (index: number, sequence: number, generation = 2, layer = 1) => ({
  family: 7,
  index,
  layer,
  generation,
  sequence,
});

async function modifiedIn(disk: Disk, pg: number): Promise<number[]> {
  const found: number[] = [];
  for await (const batch of listGroup(disk, { groupCount: GROUPS, groupOf, has: () => true }, pg)) {
    found.push(...batch.map(({ modified }) => modified));
  }
  return found;
}

test('a writer retires what took no later write; the disk does nothing by itself', async (t) => {
  const disk = await newDisk(t, REPLICATED);
  for (let index = 0; index < 10; index++) await write(disk, index, 10 + index);
  await disk.flushAll();
  await disk.activity.retireAll(disk.layers.values());
  t.is(activeOfVdi(disk, 9).length, 10);

  await write(disk, 1, 5000);
  const retired = await retireObjects(disk, [
    retirement(0, 10),
    retirement(1, 4999),
    retirement(2, 9999, 1),
    retirement(3, 1, 3),
    retirement(40, 1),
  ]);
  t.is(retired, 2);
  const left = new Set(activeOfVdi(disk, 9).map(({ index }) => index));
  t.alike(
    [0, 1, 2, 3].map((index) => left.has(index)),
    [false, true, true, false],
    'a later write, an older generation, a newer one',
  );
});

test('a write under way keeps its object active', async (t) => {
  const disk = await newDisk(t, REPLICATED);
  await write(disk, 0, 1);
  const lock = { release() {} };
  const order = { vdi: 9, generation: 2, sequence: 2 };
  const writing = tryWrite(disk, 7, 0, 1, 0, Buffer.alloc(512, 2), lock, order);
  t.ok(writing);
  t.is(await retireObjects(disk, [retirement(0, 2)]), 0);
  await writing;
  t.is(await retireObjects(disk, [retirement(0, 1)]), 0);
  t.is(await retireObjects(disk, [retirement(0, 2)]), 1);
});

test('records survive kill -9 and a close, with their image', async (t) => {
  const disk = await newDisk(t, REPLICATED);
  await write(disk, 0, 1);
  await write(disk, 1, 2, 2, 8);
  const expected = [
    { family: 7, index: 0, layer: 1, vdi: 9, generation: 2, sequence: 1, modified: 3 },
    { family: 7, index: 1, layer: 2, vdi: 8, generation: 2, sequence: 2, modified: 3 },
  ];
  const copy = await openDisk(t, await killedCopy(t, disk), REPLICATED);
  t.alike(activeOfLayers(copy, 7, [1, 2, 3]), expected);
  t.alike(activeOfVdi(copy, 8), expected.slice(1));
  await copy.close();
  const again = await openDisk(t, copy.directory, REPLICATED);
  t.alike(activeOfLayers(again, 7, [1, 2, 3]), expected);
});

test('raised epochs survive retirement, merging and a kill, for the groups that were raised', async (t) => {
  const disk = await newDisk(t, REPLICATED);
  const pg = groupOf(7, 0);
  for (const index of [0, GROUPS, 2 * GROUPS, 1]) await write(disk, index, 1);
  await retireObjects(disk, [retirement(0, 1)]);
  await raiseModified(disk, (family, index) => (groupOf(family, index) === pg ? 8 : null));
  t.alike(await modifiedIn(disk, pg), [3, 8, 8], 'what was retired before is not raised');
  t.alike(await modifiedIn(disk, groupOf(7, 1)), [3]);
  await retireObjects(disk, [retirement(GROUPS, 1)]);
  await disk.flushAll();
  await mergeObject(disk, { pg, family: 7, index: GROUPS }, 1, 2, Number.MAX_SAFE_INTEGER);
  await mergeObject(disk, { pg, family: 7, index: 2 * GROUPS }, 1, 2, Number.MAX_SAFE_INTEGER);
  const copy = await openDisk(t, await killedCopy(t, disk), REPLICATED);
  for (const each of [disk, copy]) t.alike(await modifiedIn(each, pg), [3, 8, 8]);
  await raiseModified(copy, () => 5);
  t.alike(await modifiedIn(copy, pg), [3, 8, 8], 'never lowered');
});

test('an object that was discarded whole stays active until it is retired', async (t) => {
  const disk = await newDisk(t, REPLICATED);
  await write(disk, 0, 1);
  await retireObjects(disk, [retirement(0, 1)]);
  const place = { pg: groupOf(7, 0), family: 7, index: 0 };
  await discardEntry(disk, place, 1, 4, { vdi: 9, generation: 2, sequence: 5 });
  t.is(disk.index.find(7, 0, 1), 0);
  const copy = await openDisk(t, await killedCopy(t, disk), REPLICATED);
  for (const each of [disk, copy]) t.is(activeOfVdi(each, 9).length, 1);
  t.is(await retireObjects(disk, [retirement(0, 4)]), 0);
  t.is(await retireObjects(disk, [retirement(0, 5)]), 1);
  await forgetActivity(copy, 7, 1);
  t.is(activeOfVdi(copy, 9).length, 0);
});
