import fs from 'node:fs';
import { test } from 'brittle';
import { OBJECT_BYTES } from '../lib/replication/object-io.js';
import { ACTIVE_OBJECTS_MAX, DIRTY_FILES_LIMIT, DIRTY_FILES_MAX } from '../lib/store/constants.js';
import { Descriptors } from '../lib/store/descriptors.js';
import { LayerState } from '../lib/store/layer-state.js';
import { OpenFile } from '../lib/store/open-file.js';
import { DiskObjects } from './helpers/disk-objects.js';
import { chainOf, newDisk, readAt } from './helpers/disks.js';
import { until } from './helpers/until.js';

function files(count: number): OpenFile[] {
  const layer = new LayerState(1, 1);
  return Array.from({ length: count }, (_, i) => new OpenFile(100 + i, `f${i}`, 0, 1, i, i + 1, layer));
}

test('the cache closes the least recently used, but none that is in use or dirty', (t) => {
  const closed: number[] = [];
  const cache = new Descriptors(3, (file) => closed.push(file.serial));
  const [busy, dirty, idle, ...more] = files(6) as [OpenFile, OpenFile, OpenFile, ...OpenFile[]];
  busy.users = 1;
  dirty.dirty = true;
  for (const file of [busy, dirty, idle, ...more]) cache.add(file);
  t.alike(closed, [3], 'only the idle one of the oldest three');
  t.is(cache.get(1), busy, 'those held are still found');
  t.is(cache.get(2), dirty);
  t.is(cache.size, 5);

  busy.users = 0;
  cache.settle(busy);
  t.alike(closed, [3, 4], 'it comes back as the most recent, and the oldest goes');
  dirty.dirty = false;
  cache.settle(dirty);
  t.alike(closed, [3, 4, 5]);
  t.is(cache.size, 3);
});

test('a forgotten file is closed when its last use ends, once', (t) => {
  const closed: number[] = [];
  const cache = new Descriptors(1, (file) => closed.push(file.serial));
  const [held, recent] = files(2) as [OpenFile, OpenFile];
  for (const file of [held, recent]) {
    file.users = 2;
    file.dirty = true;
    cache.add(file);
    cache.forget(file);
  }
  t.alike(closed, []);
  for (const file of [held, recent]) {
    file.users = 1;
    cache.settle(file);
    t.absent(closed.includes(file.serial));
    file.users = 0;
    cache.settle(file);
    cache.settle(file);
  }
  t.alike(closed, [1, 2]);
  t.is(cache.size, 0);
});

function openDescriptors(directory: string): number {
  return fs.readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return fs.readlinkSync(`/proc/self/fd/${fd}`).startsWith(`${directory}/objects`);
    } catch {
      return false;
    }
  }).length;
}

test('a disk keeps to its number of descriptors, and all data is found', { timeout: 60_000 }, async (t) => {
  const disk = await newDisk(t, { filesOpenMax: 20 });
  const objects = new DiskObjects([disk]);
  const chain = chainOf(1, 1);
  const count = 60;
  await Promise.all(
    Array.from({ length: count }, (_, index) => objects.write(chain, index, 0, Buffer.alloc(512, index + 1))),
  );
  t.is(openDescriptors(disk.directory), count, 'all are dirty');
  await objects.flush(chain);
  await until('the surplus is closed', () => openDescriptors(disk.directory) === 20);
  const reads = Array.from({ length: 3 * count }, async (_, i) => {
    const index = (i * 7) % count;
    const read = await readAt(objects, chain, index, 0, 512);
    return read.equals(Buffer.alloc(512, index + 1));
  });
  t.ok((await Promise.all(reads)).every(Boolean));
  await until('the surplus is closed', () => openDescriptors(disk.directory) <= 20);
});

test('deleted objects leave no descriptor and no file, even while they are read', async (t) => {
  const disk = await newDisk(t);
  const objects = new DiskObjects([disk]);
  const chain = chainOf(1, 1);
  const data = Buffer.alloc(OBJECT_BYTES, 5);
  await objects.write(chain, 0, 0, data);
  const reads = Array.from({ length: 8 }, () => readAt(objects, chain, 0, 0, OBJECT_BYTES));
  await objects.discard(chain, { index: 0, offset: 0, length: OBJECT_BYTES });
  for (const read of await Promise.all(reads)) t.ok(read.equals(data), 'the whole of what it was');
  t.alike(await readAt(objects, chain, 0, 0, 512), Buffer.alloc(512));
  await until('nothing is left', () => openDescriptors(disk.directory) === 0);
  await until('the file is gone', () => fs.readdirSync(`${disk.directory}/objects/7`).length === 0);
});

test('dirty files and active objects are bounded, and old ones are synced and retired by and by', async (t) => {
  t.timeout(120_000);
  const disk = await newDisk(t);
  const objects = new DiskObjects([disk]);
  const chain = chainOf(1, 1);
  let [dirtyMax, activeMax, next] = [0, 0, 0];
  const count = 2 * ACTIVE_OBJECTS_MAX;
  const source = Buffer.alloc(512, 1);
  const work = async () => {
    while (next < count) {
      await objects.write(chain, next++, 0, source);
      dirtyMax = Math.max(dirtyMax, disk.flusher.dirtyFiles);
      activeMax = Math.max(activeMax, disk.layer(1, 1).active.size);
    }
  };
  const width = 32;
  await Promise.all(Array.from({ length: width }, work));
  t.ok(dirtyMax > DIRTY_FILES_MAX / 2 && dirtyMax <= DIRTY_FILES_LIMIT + width, `${dirtyMax} dirty files at most`);
  t.ok(activeMax > ACTIVE_OBJECTS_MAX / 2 && activeMax <= ACTIVE_OBJECTS_MAX + width, `${activeMax} active at most`);
  const recorded = [...disk.index.activeObjects()].length;
  t.is(recorded, disk.layer(1, 1).active.size, 'the records are those in memory');
  await objects.flush(chain);
  t.is(disk.flusher.dirtyFiles, 0);
  t.is(disk.index.count(1, 1), count);
});

test('a loop of writes and flushes commits nothing after the first, and is retired when it ends', async (t) => {
  const disk = await newDisk(t);
  const objects = new DiskObjects([disk]);
  const chain = chainOf(1, 1);
  await objects.write(chain, 0, 0, Buffer.alloc(512, 1));
  await objects.flush(chain);
  const before = disk.index.commits;
  for (let i = 0; i < 100; i++) {
    await objects.write(chain, 0, i * 512, Buffer.alloc(512, 1));
    await objects.flush(chain);
  }
  t.is(disk.index.commits, before);
  t.is(disk.layer(1, 1).active.size, 1);
  await until('it is retired', () => disk.layer(1, 1).active.size === 0, 15_000);
  t.is([...disk.index.activeObjects()].length, 0);
  await objects.write(chain, 0, 0, Buffer.alloc(512, 2));
  t.is(disk.layer(1, 1).active.size, 1, 'and active again with the next write');
  t.is(disk.index.isActive(1, 0, 1), true);
});

test('an object is not retired while a write may be newer than the last flush', async (t) => {
  const disk = await newDisk(t);
  const objects = new DiskObjects([disk]);
  const chain = chainOf(1, 1);
  await objects.write(chain, 0, 0, Buffer.alloc(512, 1));
  await objects.write(chain, 1, 0, Buffer.alloc(512, 1));
  await disk.activity.retireAll(disk.layers.values());
  t.is(disk.layer(1, 1).active.size, 2, 'never flushed');
  const flush = objects.flush(chain);
  await objects.write(chain, 1, 0, Buffer.alloc(512, 2));
  await flush;
  await disk.activity.retireAll(disk.layers.values());
  t.alike([...disk.layer(1, 1).active.keys()], [1], 'written since the flush began');
});
