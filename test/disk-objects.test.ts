import { test } from 'brittle';
import { OBJECT_BYTES } from '../lib/replication/object-io.js';
import { DiskObjects } from './helpers/disk-objects.js';
import { chainOf, newDisk, openDisk, readAt } from './helpers/disks.js';
import { until } from './helpers/until.js';

const MIB = 1024 * 1024;

test('what was written is read, also after closing and opening', async (t) => {
  const disk = await newDisk(t);
  const objects = new DiskObjects([disk]);
  const chain = chainOf(1, 1);
  const data = Buffer.alloc(8192, 7);
  await objects.write(chain, 5, 4096, data);
  t.alike(await readAt(objects, chain, 5, 4096, 8192), data);
  t.alike(await readAt(objects, chain, 5, 0, 4096), Buffer.alloc(4096), 'zeros before it');
  t.alike(await readAt(objects, chain, 5, 8192, 8192), Buffer.concat([Buffer.alloc(4096, 7), Buffer.alloc(4096)]));
  t.alike(await readAt(objects, chain, 6, 0, 512), Buffer.alloc(512), 'zeros where nothing is');
  t.is(objects.usage(1, 1), 8192);
  await objects.flush(chain);
  await disk.close();

  const again = new DiskObjects([await openDisk(t, disk.directory)]);
  t.alike(await readAt(again, chain, 5, 4096, 8192), data);
  t.is(again.usage(1, 1), 8192);
});

test('a layer shows what lies below it up to its limit, and cuts nothing of its own', async (t) => {
  const objects = new DiskObjects([await newDisk(t)]);
  const base = chainOf(1, 1);
  await objects.write(base, 0, 0, Buffer.alloc(16384, 1));
  await objects.write(base, 1, 0, Buffer.alloc(16384, 1));
  const image = chainOf(1, { layer: 2, limit: OBJECT_BYTES + 6000 }, 1);
  const shown = Buffer.concat([Buffer.alloc(6000, 1), Buffer.alloc(10384)]);
  t.alike(await readAt(objects, image, 0, 0, 16384), Buffer.alloc(16384, 1));
  t.alike(await readAt(objects, image, 1, 0, 16384), shown);
  t.alike(await readAt(objects, chainOf(1, { layer: 2, limit: OBJECT_BYTES }, 1), 1, 0, 512), Buffer.alloc(512));
  const deep = chainOf(1, 4, { layer: 3, limit: OBJECT_BYTES + 100 }, { layer: 2, limit: OBJECT_BYTES + 6000 }, 1);
  t.alike(await readAt(objects, deep, 1, 50, 100), Buffer.concat([Buffer.alloc(50, 1), Buffer.alloc(50)]));

  await objects.write(image, 1, 12000, Buffer.alloc(10, 2));
  shown.fill(2, 12000, 12010);
  t.alike(await readAt(objects, image, 1, 0, 16384), shown, 'copied up to the limit, its own beyond');
  t.alike(await readAt(objects, base, 1, 0, 16384), Buffer.alloc(16384, 1), 'the lower layer is as it was');
});

test('a discard deletes, leaves a hole where something lies below, or punches', async (t) => {
  const disk = await newDisk(t);
  const objects = new DiskObjects([disk]);
  const [base, image] = [chainOf(1, 1), chainOf(1, 2, 1)];
  const whole = { offset: 0, length: OBJECT_BYTES };
  await objects.write(base, 0, 0, Buffer.alloc(MIB, 1));
  await objects.write(base, 1, 0, Buffer.alloc(MIB, 1));

  await objects.discard(image, { index: 5, ...whole });
  t.is(disk.index.has(1, 5), false, 'nothing is left where nothing was');
  await objects.discard(image, { index: 0, ...whole });
  t.is(disk.index.find(1, 0, 2), 2, 'a hole over data');
  t.is(objects.usage(1, 2), 0);
  t.alike(await readAt(objects, image, 0, 0, MIB), Buffer.alloc(MIB));
  t.alike(await readAt(objects, base, 0, 0, MIB), Buffer.alloc(MIB, 1));
  await objects.write(image, 0, 4096, Buffer.alloc(512, 3));
  t.alike(await readAt(objects, image, 0, 0, 4096), Buffer.alloc(4096), 'a write to a hole does not bring back');
  await objects.discard(image, { index: 0, ...whole });
  t.is(disk.index.find(1, 0, 2), 2);

  await objects.discard(image, { index: 1, offset: 4096, length: 8192 });
  const punched = Buffer.alloc(MIB, 1).fill(0, 4096, 12288);
  t.alike(await readAt(objects, image, 1, 0, MIB), punched, 'the rest is copied first');
  await objects.discard(image, { index: 1, offset: 100, length: MIB });
  t.alike(await readAt(objects, image, 1, 0, 512), Buffer.alloc(512, 0).fill(1, 0, 100));
  await objects.discard(image, { index: 1, offset: 2 * MIB, length: MIB });
  t.is(disk.index.find(1, 1, 2), 1, 'beyond the end nothing is done');

  await objects.discard(base, { index: 1, ...whole });
  t.is(disk.index.find(1, 1, 1), 0, 'deleted where nothing lies below');
});

test('punching gives the space of the range back', async (t) => {
  const disk = await newDisk(t);
  const objects = new DiskObjects([disk]);
  const chain = chainOf(1, 1);
  await objects.write(chain, 0, 0, Buffer.alloc(OBJECT_BYTES, 1));
  await objects.flush(chain);
  const file = disk.descriptors.get(1)!;
  const before = await disk.io.stat(file.fd);
  await objects.discard(chain, { index: 0, offset: MIB, length: 2 * MIB });
  const after = await disk.io.stat(file.fd);
  t.is((before.blocks - after.blocks) * 512, 2 * MIB);
  t.is(after.size, OBJECT_BYTES);
});

test('where holes cannot be punched, zeros are written', async (t) => {
  const disk = await newDisk(t);
  disk.io.punch = async () => false;
  const objects = new DiskObjects([disk]);
  const chain = chainOf(1, 1);
  await objects.write(chain, 0, 0, Buffer.alloc(OBJECT_BYTES, 1));
  await objects.discard(chain, { index: 0, offset: 1000, length: 3 * MIB });
  const expected = Buffer.alloc(OBJECT_BYTES, 1).fill(0, 1000, 1000 + 3 * MIB);
  t.ok((await readAt(objects, chain, 0, 0, OBJECT_BYTES)).equals(expected));
});

test('truncate takes what the top layer has beyond the size, and nothing of the others', async (t) => {
  const disk = await newDisk(t);
  const objects = new DiskObjects([disk]);
  const [base, image] = [chainOf(1, 1), chainOf(1, 2, 1)];
  for (let index = 0; index < 40; index++) await objects.write(base, index, 0, Buffer.alloc(8192, 1));
  for (let index = 0; index < 40; index += 2) await objects.write(image, index, 0, Buffer.alloc(8192, 2));
  await objects.truncate(image, 10 * OBJECT_BYTES + 4000);
  t.is(objects.usage(1, 2), 6 * 8192 - 4096);
  t.is(objects.usage(1, 1), 40 * 8192);
  t.is(await objects.end(image, 1e12), 10 * OBJECT_BYTES + 4000);
  t.is(await objects.end(base, 1e12), 39 * OBJECT_BYTES + 8192);
  const grown = chainOf(1, { layer: 2, limit: 10 * OBJECT_BYTES + 4000 }, 1);
  t.alike(await readAt(objects, grown, 10, 0, 8192), Buffer.alloc(8192, 0).fill(2, 0, 4000), 'zeros when it grows');
  t.alike(await readAt(objects, grown, 20, 0, 512), Buffer.alloc(512));
  await objects.truncate(image, 0);
  t.is(objects.usage(1, 2), 0);
  t.is(await objects.end(image, 1e12), 0);
});

test('end and next find their way in a family of many layers', async (t) => {
  const objects = new DiskObjects([await newDisk(t)]);
  const layers = Array.from({ length: 40 }, (_, i) => 2 + i);
  await Promise.all(layers.map((layer) => objects.write(chainOf(1, layer), 700, 0, Buffer.alloc(512, 1))));
  await objects.write(chainOf(1, 1), 3, 0, Buffer.alloc(1000, 1));
  await objects.write(chainOf(2, 1), 9, 0, Buffer.alloc(1000, 1));
  const chain = chainOf(1, 1);
  t.is(await objects.end(chain, 1e12), 3 * OBJECT_BYTES + 1000);
  t.is(await objects.end(chain, 3 * OBJECT_BYTES + 10), 3 * OBJECT_BYTES + 10, 'below the bound');
  t.is(await objects.end(chain, 3 * OBJECT_BYTES), 0);
  t.is(await objects.end(chainOf(1, 99), 1e12), 0);
  t.is(await objects.next(chain, 0, 1000), 3);
  t.is(await objects.next(chain, 3, 4), 3);
  t.is(await objects.next(chain, 4, 2 ** 31), null);
  t.is(await objects.next(chainOf(1, 41, 1), 4, 2 ** 31), 700);
  t.is(await objects.next(chainOf(1, 41, 1), 4, 700), null);
  await objects.discard(chainOf(1, 50, 41), { index: 700, offset: 0, length: OBJECT_BYTES });
  t.is(await objects.next(chainOf(1, 50), 0, 1000), 700, 'a hole counts');
});

test('a copy made for a first write ends where it would as a clone, zeros at its end included', async (t) => {
  const objects = new DiskObjects([await newDisk(t)]);
  await objects.write(chainOf(1, 1), 0, 0, Buffer.alloc(4096, 1));
  await objects.write(chainOf(1, 1), 0, 16384, Buffer.alloc(4096));
  await objects.write(chainOf(1, 2, 1), 0, 0, Buffer.alloc(512, 2));
  t.is(await objects.end(chainOf(1, 2, 1), 1e9), 20480);
});

test('seek finds data and holes, through layers and limits', async (t) => {
  const objects = new DiskObjects([await newDisk(t)]);
  const base = chainOf(1, 1);
  await objects.write(base, 0, MIB, Buffer.alloc(8192, 1));
  await objects.write(base, 0, 3 * MIB, Buffer.alloc(100, 1));
  t.is(await objects.seek(base, 0, 0, true), MIB);
  t.is(await objects.seek(base, 0, 0, false), 0);
  t.is(await objects.seek(base, 0, MIB + 5000, true), MIB + 5000);
  t.is(await objects.seek(base, 0, MIB, false), MIB + 8192);
  t.is(await objects.seek(base, 0, MIB + 8192, true), 3 * MIB);
  t.is(await objects.seek(base, 0, 3 * MIB + 100, true), null);
  t.is(await objects.seek(base, 0, 3 * MIB + 50, false), 3 * MIB + 100);
  t.is(await objects.seek(base, 7, 10, true), null);
  t.is(await objects.seek(base, 7, 10, false), 10);
  const cut = chainOf(1, { layer: 2, limit: MIB + 100 }, 1);
  t.is(await objects.seek(cut, 0, MIB, true), MIB);
  t.is(await objects.seek(cut, 0, MIB, false), MIB + 100);
  t.is(await objects.seek(cut, 0, MIB + 100, true), null);
  const full = chainOf(2, 1);
  await objects.write(full, 0, 0, Buffer.alloc(OBJECT_BYTES, 1));
  await objects.flush(full);
  t.is(await objects.seek(full, 0, 77, true), 77);
  t.is(await objects.seek(full, 0, 77, false), null);
});

test('deleting a layer takes its objects, holes and records alone, and can be repeated', async (t) => {
  const disk = await newDisk(t);
  const objects = new DiskObjects([disk]);
  for (const layer of [1, 2]) {
    for (let index = 0; index < 50; index++) {
      await objects.write(chainOf(1, layer), index, 0, Buffer.alloc(512, layer));
    }
  }
  await objects.discard(chainOf(1, 2, 1), { index: 60, offset: 0, length: OBJECT_BYTES });
  await Promise.all([objects.deleteLayer(1, 2), objects.deleteLayer(1, 2)]);
  await objects.deleteLayer(1, 2);
  t.is(objects.usage(1, 2), 0);
  t.is(disk.index.count(1, 1), 50);
  t.absent([...disk.index.activeObjects()].some(({ layer }) => layer === 2));
  t.absent(disk.index.scan(1, 0, 2 ** 32, 1e6).some(({ layer }) => layer === 2));
  t.alike(await readAt(objects, chainOf(1, 2, 1), 3, 0, 512), Buffer.alloc(512, 1));
});

test('a merge gives a layer to its child, holes too, and cuts at the limit', async (t) => {
  const disk = await newDisk(t);
  const objects = new DiskObjects([disk]);
  const limit = 2 * OBJECT_BYTES + 5000;
  const chain = chainOf(1, { layer: 3, limit }, 2, 1);
  for (let index = 0; index < 6; index++) await objects.write(chainOf(1, 1), index, 0, Buffer.alloc(8192, 1));
  for (let index = 0; index < 4; index++) await objects.write(chainOf(1, 2, 1), index, 0, Buffer.alloc(8192, 2));
  await objects.discard(chainOf(1, 2, 1), { index: 1, offset: 0, length: OBJECT_BYTES });
  await objects.write(chain, 0, 4096, Buffer.alloc(4096, 3));
  const whole = async () =>
    Promise.all([0, 1, 2, 3, 4].map((index) => readAt(objects, chainOf(1, ...chain.layers), index, 0, 8192)));
  const before = await whole();
  await objects.mergeLayer(1, 2, 3, limit);
  t.is(objects.usage(1, 2), 0);
  t.is(disk.index.find(1, 1, 3), 2, 'the hole went up');
  t.is(disk.index.find(1, 3, 3), 0, 'beyond the limit nothing does');
  t.alike(await whole(), before);
  t.alike(await readAt(objects, chainOf(1, 3), 2, 0, 8192), Buffer.alloc(8192, 0).fill(2, 0, 5000), 'cut');
  await objects.mergeLayer(1, 2, 3, limit);
  t.alike(await whole(), before, 'again, nothing');
  await objects.write(chain, 2, 0, Buffer.alloc(512, 9));
  await objects.flush(chain);
  t.is(disk.flusher.dirtyFiles, 0, 'what was merged is flushed with its new layer');
});

test('a reader that opens a file while it is merged leaves no write unflushed', async (t) => {
  const disk = await newDisk(t, { filesOpenMax: 4 });
  const objects = new DiskObjects([disk]);
  const [base, image] = [chainOf(1, 1), chainOf(1, 2, 1)];
  const count = 24;
  for (let index = 0; index < count; index++) await objects.write(base, index, 0, Buffer.alloc(512, 1));
  await objects.flush(base);
  const reads = Array.from({ length: count }, (_, index) => readAt(objects, image, index, 0, 512));
  await objects.mergeLayer(1, 1, 2, Number.MAX_SAFE_INTEGER);
  for (const read of await Promise.all(reads)) t.alike(read, Buffer.alloc(512, 1));
  const merged = chainOf(1, 2);
  for (let index = 0; index < count; index++) await objects.write(merged, index, 0, Buffer.alloc(512, 2));
  await objects.flush(merged);
  t.is(disk.flusher.dirtyFiles, 0);
});

test('a flush waits for one that began before it', async (t) => {
  const disk = await newDisk(t);
  const objects = new DiskObjects([disk]);
  const chain = chainOf(1, 1);
  const { syncData } = disk.io;
  let finish = () => {};
  const gate = new Promise<void>((resolve) => {
    finish = resolve;
  });
  let syncs = 0;
  disk.io.syncData = async (fd) => {
    syncs++;
    await gate;
    await syncData.call(disk.io, fd);
  };
  await objects.write(chain, 0, 0, Buffer.alloc(512, 1));
  const done: number[] = [];
  const flushes = [1, 2].map((number) => objects.flush(chain).then(() => done.push(number)));
  await until('it is being synced', () => syncs > 0);
  await objects.write(chainOf(2, 1), 0, 0, Buffer.alloc(512, 1));
  t.alike(done, [], 'the second has nothing to sync itself, and is not done');
  t.is(syncs, 1);
  finish();
  await Promise.all(flushes);
  t.is(done.length, 2);
});

test('a sync that fails takes the disk out, and is not tried again', async (t) => {
  const disk = await newDisk(t);
  const objects = new DiskObjects([disk]);
  const chain = chainOf(1, 1);
  await objects.write(chain, 0, 0, Buffer.alloc(512, 1));
  let calls = 0;
  const failed: string[] = [];
  disk.on('failed', (reason) => failed.push(reason));
  const { call } = disk.io;
  disk.io.call = () => {
    calls++;
    disk.io.call = call;
    return Promise.reject(Object.assign(new Error('EIO: i/o error, fdatasync'), { code: 'EIO' }));
  };
  await t.exception(objects.flush(chain), /taken out: fdatasync failed/);
  await t.exception(objects.flush(chain), /taken out/);
  await t.exception(objects.read(chain, 0, 0, Buffer.alloc(512)), /taken out/);
  t.is(calls, 1);
  t.is(failed.length, 1);
});
