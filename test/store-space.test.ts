import { open, readdir, rm, statfs, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'brittle';
import { type Chain, OBJECT_BYTES } from '../lib/replication/object-io.js';
import { NOTHING } from '../lib/store/entry.js';
import type { Disk } from '../lib/store/index.js';
import { reserveOf } from '../lib/store/space.js';
import { SYSTEM } from '../lib/store/system.js';
import { DiskObjects } from './helpers/disk-objects.js';
import { chainOf, newDisk, openDisk, readAt, smallFilesystem } from './helpers/disks.js';
import { until } from './helpers/until.js';

const MIB = 1024 * 1024;

test('the reserve suits a tiny disk and a huge one', (t) => {
  t.is(reserveOf(64 * MIB), 8 * MIB);
  t.is(reserveOf(16 * MIB), 2 * MIB);
  t.is(reserveOf(1024 * MIB), Math.floor((1024 * MIB) / 50));
  t.is(reserveOf(16 * 1024 ** 4), 2 * 1024 ** 3);
});

/** Writes new objects until one is refused; answers how many there are. */
async function fill(objects: DiskObjects, chain: Chain, source: Buffer): Promise<number> {
  for (let index = 0; ; index++) {
    try {
      await objects.write(chain, index, 0, source);
    } catch (error) {
      if ((error as { code?: string }).code !== 'ENOSPC') throw error;
      return index;
    }
  }
}

async function freeOf(disk: Disk): Promise<number> {
  const { bavail, bsize } = await statfs(disk.directory);
  return bavail * bsize;
}

test('a disk that fills up refuses new data, serves the rest, and goes on when there is space', async (t) => {
  const disk = await newDisk(t, {}, 1, await smallFilesystem(t, 64));
  const objects = new DiskObjects([disk]);
  const chain = chainOf(1, 1);
  const whole = Buffer.alloc(OBJECT_BYTES, 1);
  const count = await fill(objects, chain, whole);
  t.ok(count >= 10 && count <= 14, `${count} objects`);
  t.is(disk.space.report().state, 'full');
  t.ok((await freeOf(disk)) >= disk.space.report().reserve - OBJECT_BYTES, 'the reserve is kept');
  t.is(disk.index.count(1, 1), count, 'nothing was changed by the refusal');
  t.is(disk.failed, null);

  await objects.write(chain, 0, 4096, Buffer.alloc(4096, 2));
  t.alike(await readAt(objects, chain, 0, 4096, 4096), Buffer.alloc(4096, 2), 'overwrites go on');
  await objects.flush(chain);
  const snapshot = chainOf(1, 2, 1);
  await t.exception(objects.write(snapshot, 0, 0, Buffer.alloc(512, 3)), /is full/);
  await t.exception(objects.discard(snapshot, { index: 0, offset: 0, length: 512 }), /is full/);
  await objects.discard(snapshot, { index: 0, offset: 0, length: OBJECT_BYTES });
  t.alike(await readAt(objects, snapshot, 0, 0, 512), Buffer.alloc(512), 'a hole needs no space');

  await objects.deleteLayer(1, 1);
  await until('the space is back', async () => (await freeOf(disk)) > 50 * MIB);
  await objects.write(snapshot, 0, 0, Buffer.alloc(512, 3));
  t.alike(await readAt(objects, snapshot, 0, 0, 512), Buffer.alloc(512, 3), 'goes on by itself');
});

test('space that somebody else took is noticed, and so is its return', async (t) => {
  const disk = await newDisk(t, {}, 1, await smallFilesystem(t, 64));
  const objects = new DiskObjects([disk]);
  const chain = chainOf(1, 1);
  await objects.write(chain, 0, 0, Buffer.alloc(4096, 1));
  const stranger = join(disk.directory, 'stranger');
  await writeFile(stranger, Buffer.alloc(57 * MIB));
  await until('it is noticed', () => disk.space.report().state === 'full');
  await t.exception(objects.write(chain, 0, 4096, Buffer.alloc(4096, 1)), /is full/);
  t.alike(await readAt(objects, chain, 0, 0, 4096), Buffer.alloc(4096, 1));
  await rm(stranger);
  await objects.write(chain, 0, 4096, Buffer.alloc(4096, 1));
  t.is(disk.space.report().state, 'ok', 'the next write looks again');
});

test('when space runs low, the first write to an object gives it all its blocks', async (t) => {
  const disk = await newDisk(t, {}, 1, await smallFilesystem(t, 64));
  const objects = new DiskObjects([disk]);
  const chain = chainOf(1, 1);
  await objects.write(chain, 0, 0, Buffer.alloc(4096, 1));
  await writeFile(join(disk.directory, 'stranger'), Buffer.alloc(42 * MIB));
  await disk.space.refresh();
  const before = await freeOf(disk);
  await writeFile(join(disk.directory, 'stranger'), Buffer.alloc(50 * MIB));
  await disk.space.refresh();
  t.is(disk.space.report().state, 'low');
  await objects.write(chain, 0, 8192, Buffer.alloc(4096, 2));
  t.ok(before - (await freeOf(disk)) > 8 * MIB + OBJECT_BYTES - 64 * 1024, 'an object that was there is filled up');
  t.is(await objects.end(chain, 1e9), 12288, 'its end is still where it was written to');
  await objects.write(chain, 1, 0, Buffer.alloc(4096, 5));
  await objects.discard(chain, { index: 1, offset: 0, length: 4096 });
  t.is(disk.index.find(1, 1, 1), NOTHING, 'and a discard up to there deletes it, as where it was not filled up');

  await writeFile(join(disk.directory, 'stranger'), Buffer.alloc(54 * MIB));
  await disk.space.refresh();
  t.is(disk.space.report().state, 'full');
  await objects.write(chain, 0, OBJECT_BYTES - 4096, Buffer.alloc(4096, 3));
  t.is(await objects.end(chain, 1e9), OBJECT_BYTES, 'and moves with the writes');
  t.alike(await readAt(objects, chain, 0, 4096, 4096), Buffer.alloc(4096));
  await objects.flush(chain);
  await disk.close();
  const again = new DiskObjects([await openDisk(t, disk.directory)]);
  await again.write(chain, 0, 4096, Buffer.alloc(4096, 4));
  t.pass('known to be whole after opening again');
});

test('a real lack of space is told, and leaves everything readable', async (t) => {
  const disk = await newDisk(t, {}, 1, await smallFilesystem(t, 64));
  const objects = new DiskObjects([disk]);
  const chain = chainOf(1, 1);
  await objects.write(chain, 0, 0, Buffer.alloc(4096, 1));
  const stranger = join(disk.directory, 'stranger');
  // At once, before anybody looks, and up to the last block but some for the index.
  await disk.space.refresh();
  await writeFile(stranger, Buffer.alloc((await freeOf(disk)) - 512 * 1024));
  const write = objects.write(chain, 0, 4096, Buffer.alloc(2 * MIB, 2));
  await t.exception(write, /no space left|is full/);
  t.alike(await readAt(objects, chain, 0, 0, 4096), Buffer.alloc(4096, 1));
  t.is(disk.failed, null);
  t.is(disk.index.count(1, 1), 1);
  await truncate(stranger, 0);
  await objects.write(chain, 0, 4096, Buffer.alloc(2 * MIB, 2));
  t.alike(await readAt(objects, chain, 0, 4096, 2 * MIB), Buffer.alloc(2 * MIB, 2));
});

test('what was allocated cannot run out of space, and reads as before', async (t) => {
  const disk = await newDisk(t, {}, 1, await smallFilesystem(t, 64));
  const objects = new DiskObjects([disk]);
  const chain = chainOf(1, 2, 1);
  await objects.write(chainOf(1, 1), 0, 4096, Buffer.alloc(4096, 1));
  await objects.allocate(chain, 0, 0);
  await objects.allocate(chain, 1, 0);
  t.alike(await readAt(objects, chain, 0, 4096, 8192), Buffer.concat([Buffer.alloc(4096, 1), Buffer.alloc(4096)]));
  t.is(await objects.end(chain, 1e9), 8192, 'allocation does not move the end');
  await objects.allocate(chain, 0, 12_288);
  t.is(await objects.end(chain, 1e9), 12_288, 'unless it is told to');
  await writeFile(join(disk.directory, 'stranger'), Buffer.alloc((await freeOf(disk)) - 1 * MIB));
  await disk.space.refresh();
  await t.exception(objects.write(chain, 2, 0, Buffer.alloc(512)), /is full/);
  await objects.write(chain, 0, 0, Buffer.alloc(OBJECT_BYTES, 5));
  await objects.write(chain, 1, OBJECT_BYTES - 512, Buffer.alloc(512, 6));
  t.is(await objects.end(chain, 1e9), 2 * OBJECT_BYTES);
});

test('writes go through an image that was allocated without a word in the index', async (t) => {
  const disk = await newDisk(t);
  const objects = new DiskObjects([disk]);
  const chain = chainOf(1, 1);
  await objects.allocate(chain, 0, OBJECT_BYTES);
  const { commit } = disk.index;
  let commits = 0;
  disk.index.commit = (change) => {
    commits++;
    return commit.call(disk.index, change);
  };
  for (let offset = 0; offset < OBJECT_BYTES; offset += 65_536) {
    await objects.write(chain, 0, offset, Buffer.alloc(65_536, 1));
  }
  t.is(commits, 0);
  t.is(await objects.end(chain, 1e9), OBJECT_BYTES);
});

test('after a power cut an object ends where its end is noted, whatever its file has behind', async (t) => {
  const disk = await newDisk(t, { replicated: true });
  const objects = new DiskObjects([disk]);
  const chain = chainOf(1, 1);
  await objects.write(chain, 0, 0, Buffer.alloc(4096, 1));
  await objects.allocate(chain, 0, 12_288);
  await objects.flush(chain);
  await disk.close();
  // As of a write whose note of a new end was lost.
  const groups = join(disk.directory, 'objects');
  const [group] = await readdir(groups);
  const [name] = await readdir(join(groups, group!));
  const file = await open(join(groups, group!, name!), 'r+');
  await file.write(Buffer.alloc(4096, 2), 0, 4096, 20_480);
  await file.close();
  const system = { ...SYSTEM, bootId: () => 'another' };
  const again = new DiskObjects([await openDisk(t, disk.directory, { replicated: true, system })]);
  t.is(await again.end(chain, 1e9), 12_288);
  t.alike(await readAt(again, chain, 0, 20_480, 4096), Buffer.alloc(4096));
  t.alike(await readAt(again, chain, 0, 0, 4096), Buffer.alloc(4096, 1));
});
