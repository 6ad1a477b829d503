/** The bytes that a layer is said to take up. */
import { test } from 'brittle';
import { OBJECT_BYTES } from '../lib/replication/object-io.js';
import { DiskObjects } from './helpers/disk-objects.js';
import { allocatedBytes, chainOf, killedCopy, newDisk, openDisk } from './helpers/disks.js';
import { until } from './helpers/until.js';

const BLOCK = 4096;
const MIB = 1024 * 1024;

test('what is written counts at once, rounded up to blocks', async (t) => {
  const objects = new DiskObjects([await newDisk(t)]);
  const chain = chainOf(1, 1);
  t.is(objects.usage(1, 1), 0);
  await objects.write(chain, 0, 512, Buffer.alloc(512, 1));
  t.is(objects.usage(1, 1), BLOCK, 'the first write');
  await objects.write(chain, 0, MIB, Buffer.alloc(MIB, 1));
  t.is(objects.usage(1, 1), MIB + BLOCK, 'a later write, not flushed');
  await objects.write(chain, 7, 0, Buffer.alloc(OBJECT_BYTES, 1));
  t.is(objects.usage(1, 1), OBJECT_BYTES + MIB + BLOCK);
  t.is(objects.usage(1, 2), 0, 'other layers have nothing');
});

test('a discard gives back what it covers, and allocating takes it again', async (t) => {
  const disk = await newDisk(t);
  const objects = new DiskObjects([disk]);
  const chain = chainOf(1, 1);
  await objects.write(chain, 0, 0, Buffer.alloc(OBJECT_BYTES, 1));
  await objects.discard(chain, { index: 0, offset: MIB, length: 2 * MIB });
  t.is(objects.usage(1, 1), 2 * MIB);
  await objects.allocate(chain, 0, 0);
  t.is(objects.usage(1, 1), OBJECT_BYTES);
  await objects.truncate(chain, MIB);
  t.is(objects.usage(1, 1), MIB);
  for (const offset of [0, MIB / 2]) await objects.discard(chain, { index: 0, offset, length: MIB / 2 });
  t.is(objects.usage(1, 1), BLOCK * disk.index.count(1, 1), 'an object is never nothing');
  await objects.truncate(chain, 0);
  t.is(objects.usage(1, 1), 0);
});

test('a merge takes the bytes along, and a deletion frees them', async (t) => {
  const disk = await newDisk(t);
  const objects = new DiskObjects([disk]);
  await objects.write(chainOf(1, 1), 0, 0, Buffer.alloc(MIB, 1));
  await objects.write(chainOf(1, 1), 1, 0, Buffer.alloc(MIB, 1));
  await objects.write(chainOf(1, 2), 1, 0, Buffer.alloc(BLOCK, 2));
  await objects.mergeLayer(1, 1, 2, MIB / 2);
  t.is(objects.usage(1, 1), 0);
  t.is(objects.usage(1, 2), MIB / 2 + BLOCK);
  await objects.deleteLayer(1, 2);
  t.is(objects.usage(1, 2), 0);
  t.is(disk.index.objects, 0);
});

test('overwriting and flushing in a loop costs no commit', async (t) => {
  const disk = await newDisk(t);
  const objects = new DiskObjects([disk]);
  const chain = chainOf(1, 1);
  await objects.write(chain, 0, 0, Buffer.alloc(OBJECT_BYTES, 1));
  await objects.flush(chain);
  await disk.index.storeFigures();
  const before = disk.index.commits;
  for (let round = 0; round < 50; round++) {
    await objects.write(chain, 0, round * BLOCK, Buffer.alloc(BLOCK, 2));
    await objects.flush(chain);
  }
  t.is(disk.index.commits, before);
  t.is(objects.usage(1, 1), OBJECT_BYTES);
});

test('a flush does not wait for a figure, which is stored soon after', async (t) => {
  const disk = await newDisk(t);
  const objects = new DiskObjects([disk]);
  const chain = chainOf(1, 1);
  await objects.write(chain, 0, 0, Buffer.alloc(BLOCK, 1));
  await objects.write(chain, 0, MIB, Buffer.alloc(MIB, 1));
  const before = disk.index.commits;
  await objects.flush(chain);
  t.is(disk.index.commits, before);
  t.is(disk.index.usage.pending, 1);
  await until('the figure to be stored', () => disk.index.usage.pending === 0);
  const killed = await openDisk(t, await killedCopy(t, disk));
  t.is(killed.index.usage.bytesOf(1, 1), MIB + BLOCK);
});

test('usage survives a close, and a kill for the most part; what it took is measured again', async (t) => {
  const disk = await newDisk(t);
  const objects = new DiskObjects([disk]);
  const chain = chainOf(1, 1);
  for (let index = 0; index < 20; index++) await objects.write(chain, index, 0, Buffer.alloc(BLOCK, 1));
  for (let index = 0; index < 20; index++) await objects.write(chain, index, MIB, Buffer.alloc(MIB, 1));
  const all = 20 * (MIB + BLOCK);
  t.is(objects.usage(1, 1), all);
  const copy = await killedCopy(t, disk);
  await disk.close();
  const closed = await openDisk(t, disk.directory);
  t.is(closed.usage(1, 1), all);

  const killed = await openDisk(t, copy);
  t.ok(killed.index.usage.bytesOf(1, 1) >= 20 * BLOCK, 'never nothing');
  await until('the rest to be measured', () => killed.usage(1, 1) === all);
  t.is(allocatedBytes(killed, 1, 1), all);
});
