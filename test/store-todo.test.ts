import { test } from 'brittle';
import type { IndexName } from '../lib/store/to-do.js';
import { killedCopy, newDisk, openDisk } from './helpers/disks.js';
import { Random } from './helpers/random.js';

const GROUP = { copies: 3, pg: 7 };
const STAY = { epoch: 4, bootId: 'boot' };

const keyOf = ({ family, index }: IndexName) => family * 1e6 + index;

test('a list is stored whole, gone through in order, and shrinks', async (t) => {
  const seed = Date.now() % 1e6;
  t.comment(`seed ${seed}`);
  const random = new Random(seed);
  const disk = await newDisk(t);
  const { toDo } = disk;
  const items = Array.from({ length: 3000 }, () => ({ family: 1 + random.below(3), index: random.below(5000) }));
  const sorted = [...new Map(items.map((item) => [keyOf(item), item])).values()].sort((a, b) => keyOf(a) - keyOf(b));
  await toDo.store({ copies: 3, pg: 8 }, STAY, [{ family: 9, index: 9 }]);
  await toDo.store({ copies: 2, pg: 7 }, STAY, [{ family: 9, index: 9 }]);
  await toDo.store(GROUP, STAY, items);
  t.is(toDo.count(GROUP), sorted.length);
  const found: IndexName[] = [];
  for (let after: IndexName | null = null; ; ) {
    const batch = toDo.items(GROUP, after, 100);
    if (batch.length === 0) break;
    found.push(...batch);
    after = batch.at(-1)!;
  }
  t.alike(found, sorted);
  t.ok(toDo.has(GROUP, sorted[5]!.family, sorted[5]!.index));
  t.absent(toDo.has(GROUP, 9, 9));

  const { family, index } = sorted[5]!;
  await toDo.remove(GROUP, family, index);
  await toDo.remove(GROUP, family, index);
  await disk.index.commit(() => toDo.removeWithin(GROUP, sorted[6]!.family, sorted[6]!.index));
  const copy = await openDisk(t, await killedCopy(t, disk));
  for (const each of [toDo, copy.toDo]) {
    t.is(each.count(GROUP), sorted.length - 2);
    t.absent(each.has(GROUP, family, index));
    t.ok(each.isStored(GROUP, STAY));
    t.absent(each.isStored(GROUP, { ...STAY, epoch: 5 }), 'of another stay');
    t.absent(each.isStored(GROUP, { ...STAY, bootId: 'other' }));
  }
  await toDo.drop(GROUP);
  t.alike(toDo.items(GROUP, null, 10), []);
  t.is(toDo.count({ copies: 3, pg: 8 }), 1, 'the others are left alone');
});

test('until all of a list is stored, nothing of it counts', async (t) => {
  const disk = await newDisk(t);
  await disk.toDo.store(GROUP, STAY, [{ family: 1, index: 1 }]);
  let copied: string | null = null;
  async function* slow(): AsyncGenerator<IndexName> {
    for (let index = 0; index < 3000; index++) {
      if (index === 2500) copied = await killedCopy(t, disk);
      yield { family: 2, index };
    }
    throw new Error('the source is gone');
  }
  await t.exception(disk.toDo.store(GROUP, { ...STAY, epoch: 5 }, slow()), /gone/);
  const half = await openDisk(t, copied!);
  for (const { toDo } of [disk, half]) {
    t.absent(toDo.isStored(GROUP, STAY));
    t.absent(toDo.isStored(GROUP, { ...STAY, epoch: 5 }));
    t.is(toDo.count(GROUP), 0);
    t.alike(toDo.items(GROUP, null, 10), []);
    t.absent(toDo.has(GROUP, 2, 0));
  }
  await half.toDo.store(GROUP, STAY, [{ family: 1, index: 2 }]);
  t.alike(half.toDo.items(GROUP, null, 10), [{ family: 1, index: 2 }], 'and nothing is left of it');
});
