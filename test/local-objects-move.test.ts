import { type Assertions, test } from 'brittle';
import type { GroupPlacement, LocalObjects } from '../lib/replication/local-objects.js';
import { OBJECT_BYTES } from '../lib/replication/object-io.js';
import type { Disk } from '../lib/store/index.js';
import { transferIndex } from '../lib/store/object-transfer.js';
import {
  chainOf,
  GROUPS,
  groupOf,
  killedCopy,
  newDisk,
  openDisk,
  openObjects,
  readAt,
  smallFilesystem,
} from './helpers/disks.js';

interface Pair {
  source: Disk;
  target: Disk;
  objects: LocalObjects;
  placement: GroupPlacement[];
}

/** Two disks, with all groups on the first. */
async function openPair(t: Assertions, target?: Disk): Promise<Pair> {
  const source = await newDisk(t, {}, 1);
  const second = target ?? (await newDisk(t, {}, 2));
  const placement = Array.from({ length: GROUPS }, (): GroupPlacement => ({ disk: 1, target: null }));
  const objects = await openObjects([source, second], { groups: (pg) => placement[pg]! });
  return { source, target: second, objects, placement };
}

function countOf(disk: Disk): number {
  return disk.index.objects;
}

test('a group is moved with all layers, and nothing else is', async (t) => {
  const { source, target, objects, placement } = await openPair(t);
  const [base, image] = [chainOf(1, 1), chainOf(1, 2, 1)];
  for (let index = 0; index < 2 * GROUPS; index++) {
    await objects.write(base, index, 4096, Buffer.alloc(4096, 1));
    await objects.write(image, index, 8192, Buffer.alloc(4096, 2));
  }
  const pg = groupOf(1, 3);
  await objects.discard(chainOf(1, 3, 2, 1), { index: 3, offset: 0, length: OBJECT_BYTES });
  await objects.allocate(image, 3 + GROUPS, 0);
  placement[pg]!.target = 2;
  const seen: number[] = [];
  await objects.moveGroup(pg, { onProgress: ({ indexes }) => seen.push(indexes) });
  t.alike(seen, [1, 2]);
  t.is(countOf(target), 4);
  t.is(countOf(source), 4 * GROUPS - 4);
  for (const moved of [false, true]) {
    if (moved) placement[pg] = { disk: 2, target: null };
    for (const index of [3, 3 + GROUPS]) {
      const expected = Buffer.concat([Buffer.alloc(4096), Buffer.alloc(4096, 1), Buffer.alloc(4096, 2)]);
      t.alike(await readAt(objects, image, index, 0, 12288), expected);
      t.alike(await readAt(objects, base, index, 0, 12288), expected.fill(0, 8192));
    }
    t.alike(await readAt(objects, chainOf(1, 3, 2, 1), 3, 0, 12288), Buffer.alloc(12288), 'the hole came along');
    t.is(await objects.end(image, (4 + GROUPS) * OBJECT_BYTES), (3 + GROUPS) * OBJECT_BYTES + 12288);
  }
  t.is(source.index.count(1, 1) + target.index.count(1, 1), 2 * GROUPS);
  const file = await target.files.acquire(pg, 1, 3 + GROUPS, 2, serialOf(target, 3 + GROUPS, 2));
  t.ok((await target.io.stat(file!.fd)).blocks * 512 >= OBJECT_BYTES, 'what was allocated stays so');
  target.files.release(file!);
  t.is(target.flusher.dirtyFiles, 0, 'all of it is on disk');
});

function serialOf(disk: Disk, index: number, layer: number): number {
  if (disk.index.find(1, index, layer) !== 1) throw new Error('no object');
  return disk.index.foundSerial;
}

test('guests go on while a group moves, at a bounded rate', async (t) => {
  const { source, target, objects, placement } = await openPair(t);
  const chain = chainOf(1, 1);
  const indexes = Array.from({ length: 24 }, (_, i) => 2 + i * GROUPS);
  const [written, bytes, rate] = [indexes.slice(0, 4), 128 * 1024, 4 * 1024 * 1024];
  const pg = groupOf(1, 2);
  for (const index of indexes) await objects.write(chain, index, 0, Buffer.alloc(bytes, 1));
  placement[pg]!.target = 2;
  const start = performance.now();
  let moving = true;
  const move = objects.moveGroup(pg, { rate }).finally(() => {
    moving = false;
  });
  let [value, passes] = [1, 0];
  while (moving) {
    value++;
    passes++;
    for (const index of written) await objects.write(chain, index, 512, Buffer.alloc(512, value & 255));
    for (const index of written) t.alike(await readAt(objects, chain, index, 512, 512), Buffer.alloc(512, value & 255));
    await objects.flush(chain);
    // The move, too, is to get a turn.
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  await move;
  t.ok(passes > 1, `${passes} passes`);
  const milliseconds = (((indexes.length - written.length - 1) * bytes) / rate) * 1000;
  t.ok(performance.now() - start >= milliseconds, 'those that no write had brought took their time');
  t.is(countOf(source), 0);
  t.is(countOf(target), indexes.length);
});

test('an abort ends a move, and the rest is moved when it is asked for again', async (t) => {
  const { objects, placement, source } = await openPair(t);
  const chain = chainOf(1, 1);
  for (let i = 0; i < 4; i++) await objects.write(chain, i * GROUPS, 0, Buffer.alloc(1024 * 1024, 1));
  const pg = groupOf(1, 0);
  placement[pg]!.target = 2;
  const ending = new AbortController();
  // An index a minute: only the abort ends the wait for the second.
  const rate = (1024 * 1024) / 60;
  const move = objects.moveGroup(pg, { rate, signal: ending.signal, onProgress: () => ending.abort() });
  await t.exception(move, /abort/i);
  t.is(countOf(source), 3);
  await objects.moveGroup(pg, { rate: 2 ** 40 });
  t.is(countOf(source), 0);
});

test('a write brings its index to the target first; new ones are made there', async (t) => {
  const { source, target, objects, placement } = await openPair(t);
  const [base, image] = [chainOf(1, 1), chainOf(1, 2, 1)];
  await objects.write(base, 0, 0, Buffer.alloc(8192, 1));
  await objects.write(base, GROUPS, 0, Buffer.alloc(8192, 1));
  placement[groupOf(1, 0)]!.target = 2;
  t.alike(await readAt(objects, image, 0, 0, 8192), Buffer.alloc(8192, 1), 'reads are served from the source');
  t.is(countOf(source), 2);
  await objects.write(image, 0, 0, Buffer.alloc(4096, 2));
  t.is(countOf(target), 2);
  t.is(countOf(source), 1);
  t.alike(await readAt(objects, image, 0, 0, 8192), Buffer.concat([Buffer.alloc(4096, 2), Buffer.alloc(4096, 1)]));
  await objects.write(image, 2 * GROUPS, 0, Buffer.alloc(512, 3));
  t.is(countOf(target), 3);
  await objects.discard(image, { index: GROUPS, offset: 0, length: OBJECT_BYTES });
  t.is(countOf(source), 0);
});

test('an index that a crash left on both disks is the one at the target', async (t) => {
  const { source, target, objects, placement } = await openPair(t);
  const chain = chainOf(1, 1);
  const pg = groupOf(1, 0);
  await objects.write(chain, 0, 0, Buffer.alloc(4096, 1));
  await objects.write(chain, GROUPS, 0, Buffer.alloc(4096, 1));
  const before = await killedCopy(t, source);
  await transferIndex(source, target, { pg, family: 1, index: 0 });
  placement[pg]!.target = 2;
  await objects.write(chain, 0, 0, Buffer.alloc(4096, 2));
  const disks = [await openDisk(t, before), await openDisk(t, await killedCopy(t, target))];
  t.is(countOf(disks[0]!), 2, 'as if the source had not come to delete it');

  const again = await openObjects(disks, { groups: (group) => placement[group]! });
  t.is(countOf(disks[0]!), 1);
  t.alike(await readAt(again, chain, 0, 0, 4096), Buffer.alloc(4096, 2));
  t.alike(await readAt(again, chain, GROUPS, 0, 4096), Buffer.alloc(4096, 1));
  await again.moveGroup(pg);
  t.is(countOf(disks[0]!), 0);
  t.alike(await readAt(again, chain, GROUPS, 0, 4096), Buffer.alloc(4096, 1));
});

test('a target without space stops the move, and everything goes on being served', async (t) => {
  const small = await newDisk(t, {}, 2, await smallFilesystem(t, 32));
  const { source, objects, placement } = await openPair(t, small);
  const chain = chainOf(1, 1);
  const data = Buffer.alloc(OBJECT_BYTES, 1);
  for (let i = 0; i < 10; i++) await objects.write(chain, i * GROUPS, 0, data);
  const pg = groupOf(1, 0);
  placement[pg]!.target = 2;
  await t.exception(objects.moveGroup(pg, { rate: 2 ** 40 }), /full|space/);
  t.ok(countOf(small) >= 4, `${countOf(small)} were moved`);
  t.is(countOf(small) + countOf(source), 10);
  for (let i = 0; i < 10; i++) t.ok((await readAt(objects, chain, i * GROUPS, 0, OBJECT_BYTES)).equals(data));
  await objects.deleteLayer(1, 1);
  t.is(countOf(small) + countOf(source), 0);
});

test('disks come and go', async (t) => {
  const { objects, placement, target } = await openPair(t);
  const chain = chainOf(1, 1);
  for (let index = 0; index < GROUPS; index++) await objects.write(chain, index, 0, Buffer.alloc(512, index + 1));
  for (let pg = 0; pg < GROUPS; pg++) {
    placement[pg]!.target = 2;
    await objects.moveGroup(pg);
    placement[pg] = { disk: 2, target: null };
  }
  const emptied = await objects.removeDisk(1);
  t.is(countOf(emptied), 0);
  await emptied.close();
  for (let index = 0; index < GROUPS; index++) {
    t.alike(await readAt(objects, chain, index, 0, 512), Buffer.alloc(512, index + 1));
  }
  await objects.flush(chain);
  const third = await newDisk(t, {}, 3);
  objects.addDisk(third);
  placement[groupOf(1, 0)] = { disk: 2, target: 3 };
  await objects.moveGroup(groupOf(1, 0));
  t.is(countOf(third), 1);
  t.is(countOf(target), GROUPS - 1);
  placement[groupOf(1, 0)] = { disk: 9, target: null };
  await t.exception(readAt(objects, chain, 0, 0, 512), /disk 9 is not open/);
});

test('what goes over all disks is not disturbed by one that is taken away', async (t) => {
  for (const what of ['truncate', 'deleteLayer', 'flush'] as const) {
    const [first, second] = [await newDisk(t, {}, 1), await newDisk(t, {}, 2)];
    const objects = await openObjects([first, second]);
    const chain = chainOf(1, 1);
    for (let index = 0; index < 200; index++) await objects.write(chain, index, 0, Buffer.alloc(512, 1));
    const work = {
      truncate: () => objects.truncate(chain, 0),
      deleteLayer: () => objects.deleteLayer(1, 1),
      flush: () => objects.flush(chain),
    }[what]();
    const disk = await objects.removeDisk(2);
    await disk.close();
    await work;
    t.is(disk, second);
    t.is(objects.usage(1, 1), what === 'flush' ? 200 * 4096 : 0, what);
  }
});
