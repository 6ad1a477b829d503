import { readdir, truncate, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'brittle';
import { OBJECT_BYTES } from '../lib/replication/object-io.js';
import { type Disk, SYSTEM, type System } from '../lib/store/index.js';
import { mergeObject } from '../lib/store/object-merge.js';
import { DiskObjects } from './helpers/disk-objects.js';
import { chainOf, GROUPS, groupOf, killedCopy, newDisk, openDisk, readAt } from './helpers/disks.js';
import { until } from './helpers/until.js';

const NEXT_BOOT: System = {
  ...SYSTEM,
  bootId: () => 'another boot',
  syncFilesystem: () => Promise.reject(new Error('not asked')),
};

/** Object files of a disk, in order of their serials. */
async function filesOf(directory: string): Promise<string[]> {
  const files: string[] = [];
  for (let pg = 0; pg < GROUPS; pg++) {
    const group = join(directory, 'objects', String(pg));
    const names = await readdir(group).catch(() => []);
    files.push(...names.map((name) => join(group, name)));
  }
  return files.sort((a, b) => Number(a.split('.').pop()) - Number(b.split('.').pop()));
}

test('a copied object that was not synced is dropped after a reboot, and what it was copied from shows', async (t) => {
  const disk = await newDisk(t);
  const objects = new DiskObjects([disk]);
  const [base, image] = [chainOf(1, 1), chainOf(1, 2, 1)];
  const old = Buffer.alloc(8192, 1);
  await objects.write(base, 0, 0, old);
  await objects.write(base, 1, 0, old);
  await objects.flush(base);
  await objects.write(image, 0, 0, Buffer.alloc(4096, 2));
  await objects.write(image, 1, 0, Buffer.alloc(8192, 2));
  t.is(disk.index.unsyncedObjects().length, 2, 'also where the write covers what is below');
  const copy = await killedCopy(t, disk);
  for (const torn of (await filesOf(copy)).slice(2)) await truncate(torn, 0);

  const rebooted = new DiskObjects([await openDisk(t, copy, { system: NEXT_BOOT })]);
  t.alike(await readAt(rebooted, image, 0, 0, 8192), old);
  t.alike(await readAt(rebooted, image, 1, 0, 8192), old);
  t.is(rebooted.usage(1, 2), 0);
  t.is(rebooted.usage(1, 1), 2 * 8192);
  await until('the torn files are swept', async () => (await filesOf(copy)).length === 2);
  await rebooted.write(image, 0, 4096, Buffer.alloc(512, 3));
  t.alike(await readAt(rebooted, image, 0, 0, 4608), Buffer.concat([old.subarray(0, 4096), Buffer.alloc(512, 3)]));
});

test('a flush clears the mark, and then the copy stays', async (t) => {
  const disk = await newDisk(t);
  const objects = new DiskObjects([disk]);
  const [base, image] = [chainOf(1, 1), chainOf(1, 2, 1)];
  await objects.write(base, 0, 0, Buffer.alloc(8192, 1));
  await objects.write(image, 0, 0, Buffer.alloc(4096, 2));
  await objects.flush(image);
  t.is(disk.index.unsyncedObjects().length, 0);
  const copy = await killedCopy(t, disk);
  const rebooted = new DiskObjects([await openDisk(t, copy, { system: NEXT_BOOT })]);
  t.alike(await readAt(rebooted, image, 0, 0, 8192), Buffer.concat([Buffer.alloc(4096, 2), Buffer.alloc(4096, 1)]));
});

test('a new object over nothing needs no mark', async (t) => {
  const disk = await newDisk(t);
  const objects = new DiskObjects([disk]);
  await objects.write(chainOf(1, 1), 0, 0, Buffer.alloc(4096, 2));
  await objects.write(chainOf(1, 2, { layer: 1, limit: 0 }), 1, 0, Buffer.alloc(4096, 2));
  t.is(disk.index.unsyncedObjects().length, 0);
});

test('merging away what an unsynced copy was made from syncs the copy first', async (t) => {
  const disk = await newDisk(t);
  const objects = new DiskObjects([disk]);
  const [base, image] = [chainOf(1, 1), chainOf(1, 2, 1)];
  await objects.write(base, 0, 0, Buffer.alloc(8192, 1));
  await objects.flush(base);
  await objects.write(image, 0, 0, Buffer.alloc(4096, 2));
  // As for a write that comes while a merge of the layer is on its way.
  await mergeObject(disk, { pg: groupOf(1, 0), family: 1, index: 0 }, 1, 2, Number.MAX_SAFE_INTEGER);
  t.is(disk.index.unsyncedObjects().length, 0);
  const rebooted = new DiskObjects([await openDisk(t, await killedCopy(t, disk), { system: NEXT_BOOT })]);
  const expected = Buffer.concat([Buffer.alloc(4096, 2), Buffer.alloc(4096, 1)]);
  t.alike(await readAt(rebooted, chainOf(1, 2), 0, 0, 8192), expected);
});

test('a worker that starts in the same boot syncs the file system before it answers a flush', async (t) => {
  const disk = await newDisk(t);
  const objects = new DiskObjects([disk]);
  const [base, image] = [chainOf(1, 1), chainOf(1, 2, 1)];
  await objects.write(base, 0, 0, Buffer.alloc(8192, 1));
  await objects.write(image, 0, 0, Buffer.alloc(4096, 2));
  const { bootId } = disk.index;
  let [syncs, finish] = [0, () => {}];
  const system: System = {
    ...SYSTEM,
    bootId: () => bootId,
    syncFilesystem: () => {
      syncs++;
      return new Promise((resolve) => {
        finish = resolve;
      });
    },
  };
  const successor = await openDisk(t, await killedCopy(t, disk), { system });
  const again = new DiskObjects([successor]);
  t.is(syncs, 1);
  t.alike(await readAt(again, image, 0, 0, 4096), Buffer.alloc(4096, 2), 'reads do not wait');
  await again.write(image, 0, 4096, Buffer.alloc(4096, 3));
  let flushed = false;
  const flush = again.flush(image).then(() => {
    flushed = true;
  });
  await again.write(image, 1, 0, Buffer.alloc(4096, 3));
  await again.write(image, 2, 0, Buffer.alloc(4096, 3));
  t.is(flushed, false);
  t.is(successor.index.unsyncedObjects().length, 1, 'the mark stays until then');
  finish();
  await flush;
  t.is(successor.index.unsyncedObjects().length, 0);
});

test('a sync of the file system that fails takes the disk out', async (t) => {
  const disk = await newDisk(t);
  const objects = new DiskObjects([disk]);
  await objects.write(chainOf(1, 1), 0, 0, Buffer.alloc(8192, 1));
  const { bootId } = disk.index;
  const system: System = {
    ...SYSTEM,
    bootId: () => bootId,
    syncFilesystem: () => Promise.reject(new Error('sync -f: Input/output error')),
  };
  const successor = await openDisk(t, await killedCopy(t, disk), { system });
  const again = new DiskObjects([successor]);
  await t.exception(again.flush(chainOf(1, 1)), /Input\/output error/);
  t.ok(successor.failed);
});

test('after an orderly close nothing is synced, swept or marked', async (t) => {
  const disk = await newDisk(t);
  const objects = new DiskObjects([disk]);
  const [base, image] = [chainOf(1, 1), chainOf(1, 2, 1)];
  await objects.write(base, 0, 0, Buffer.alloc(8192, 1));
  await objects.write(image, 0, 0, Buffer.alloc(4096, 2));
  await disk.close();
  const system: System = { ...NEXT_BOOT, bootId: () => 'yet another' };
  const again = await openDisk(t, disk.directory, { system });
  t.is(again.index.unsyncedObjects().length, 0);
  t.is([...again.index.activeObjects()].length, 0, 'all were retired');
  t.alike(await readAt(new DiskObjects([again]), image, 0, 4096, 4096), Buffer.alloc(4096, 1));
});

test('files that the index does not have are swept after a kill, others stay', async (t) => {
  const disk = await newDisk(t);
  const objects = new DiskObjects([disk]);
  await objects.write(chainOf(1, 1), 0, 0, Buffer.alloc(8192, 1));
  const file = await makeLeftover(disk);
  const copy = await killedCopy(t, disk);
  t.is((await filesOf(copy)).length, 2);
  const again = new DiskObjects([await openDisk(t, copy)]);
  await again.write(chainOf(1, 1), GROUPS, 0, Buffer.alloc(8192, 2));
  await until('it is swept', async () => !(await filesOf(copy)).some((path) => path.endsWith(file)));
  t.alike(await readAt(again, chainOf(1, 1), 0, 0, 8192), Buffer.alloc(8192, 1));
  t.alike(await readAt(again, chainOf(1, 1), GROUPS, 0, 8192), Buffer.alloc(8192, 2));
  t.is((await filesOf(copy)).length, 2);
});

/** A file as of a write that was killed before its commit. */
async function makeLeftover(disk: Disk): Promise<string> {
  const file = await disk.files.create(0, 1, OBJECT_BYTES, 1);
  await disk.io.write(file.fd, Buffer.alloc(4096, 9), 0, 4096, 0);
  disk.files.release(file);
  return file.path.slice(disk.directory.length);
}

test('an object that lost its file in a power cut is a hole from then on, also when nobody reads it', async (t) => {
  const disk = await newDisk(t);
  const objects = new DiskObjects([disk]);
  const image = chainOf(1, 1);
  await objects.write(image, 0, 0, Buffer.alloc(4096, 1));
  await objects.flush(image);
  await objects.write(image, 1, 0, Buffer.alloc(4096, 2));
  const directory = await killedCopy(t, disk);
  const files = await filesOf(directory);
  t.is(files.length, 2);
  await unlink(files[1]!);
  const rebooted = await openDisk(t, directory, { system: NEXT_BOOT });
  await rebooted.close();
  const again = new DiskObjects([await openDisk(t, directory, { system: NEXT_BOOT })]);
  t.alike(await readAt(again, image, 0, 0, 4096), Buffer.alloc(4096, 1));
  t.alike(await readAt(again, image, 1, 0, 4096), Buffer.alloc(4096));
  await again.write(image, 1, 0, Buffer.alloc(512, 3));
  t.alike(await readAt(again, image, 1, 0, 512), Buffer.alloc(512, 3));
});
