import { test } from 'brittle';
import { OBJECT_BYTES } from '../lib/store/constants.js';
import type { Disk } from '../lib/store/index.js';
import { discardObject } from '../lib/store/object-discard.js';
import { describeIndex, pullIndex, readBlocks } from '../lib/store/object-pull.js';
import { needsRoom } from '../lib/store/object-room.js';
import { allocateObject, writeObject } from '../lib/store/object-write.js';
import { newDisk, smallFilesystem } from './helpers/disks.js';

const FAMILY = 7;
const TOP = [{ layer: 2, limit: OBJECT_BYTES }];
const CHAIN = [...TOP, { layer: 1, limit: OBJECT_BYTES }];

function place(index: number) {
  return { pg: index % 16, family: FAMILY, index };
}

function write(disk: Disk, index: number, layer: number, data = Buffer.alloc(512, 1)): Promise<void> {
  return writeObject(disk, place(index), [{ layer, limit: 0 }], 0, data, 1);
}

test('room is needed by a write to what is not whole, and by a discard that has to copy', async (t) => {
  const disk = await newDisk(t, { replicated: true });
  const needs = (index: number, layers = CHAIN) =>
    Promise.all([needsRoom(disk, place(index), layers, 'write'), needsRoom(disk, place(index), layers, 'discard')]);
  t.alike(await needs(0), [true, false], 'nothing');
  await write(disk, 0, 1);
  t.alike(await needs(0), [true, true], 'something below');
  t.alike(await needs(0, TOP), [true, false], 'nothing below');
  await write(disk, 0, 2);
  t.alike(await needs(0), [true, false], 'an object of its own');
  await allocateObject(disk, place(0), CHAIN, OBJECT_BYTES, 1);
  t.alike(await needs(0), [false, false], 'a whole one');
  await write(disk, 1, 1);
  await discardObject(disk, place(1), CHAIN, 0, OBJECT_BYTES, 1);
  t.alike(await needs(1), [true, false], 'a hole');
});

test('a full disk that others share copies with does what was sent, from its reserve; recovery waits but for a write', async (t) => {
  const disk = await newDisk(t, { replicated: true }, 1, await smallFilesystem(t, 64));
  const whole = Buffer.alloc(OBJECT_BYTES, 1);
  let index = 0;
  for (; (await disk.space.current()) !== 'full'; index++) await write(disk, index, 1, whole);
  await write(disk, index, 1);
  t.is(disk.index.count(FAMILY, 1), index + 1, 'the writer did not know yet');
  t.is(disk.failed, null);

  const source = await newDisk(t, { replicated: true }, 2);
  await write(source, 40, 1);
  const description = await describeIndex(source, place(40));
  const pull = (urgent: boolean) =>
    pullIndex(disk, place(40), description, {
      ...{ group: { copies: 3, pg: place(40).pg }, urgent },
      fetch: async (range) => (await readBlocks(source, place(40), range))!,
    });
  await t.exception(pull(false), /is full/);
  t.absent(disk.index.has(FAMILY, 40));
  t.is((await pull(true)).installed, 1);
});

test('pulls that begin at once do not take the reserve together', async (t) => {
  const disk = await newDisk(t, { replicated: true }, 1, await smallFilesystem(t, 64));
  const source = await newDisk(t, { replicated: true }, 2);
  const whole = Buffer.alloc(OBJECT_BYTES, 1);
  const isRoomFor = (objects: number) => {
    const { free, reserve } = disk.space.report();
    return free - reserve >= objects * OBJECT_BYTES;
  };
  for (let index = 0; isRoomFor(2); index++) {
    await write(disk, index, 1, whole);
    await disk.space.refresh();
  }
  const pulls = [40, 41, 42, 43].map(async (index) => {
    await write(source, index, 1, whole);
    const description = await describeIndex(source, place(index));
    return () =>
      pullIndex(disk, place(index), description, {
        group: { copies: 3, pg: place(index).pg },
        fetch: async (range) => (await readBlocks(source, place(index), range))!,
      });
  });
  const begin = await Promise.all(pulls);
  const ended = await Promise.allSettled(begin.map((pull) => pull()));
  t.is(ended.filter(({ status }) => status === 'rejected').length, 2);
  await disk.space.refresh();
  const { free, reserve } = disk.space.report();
  t.ok(free >= reserve - OBJECT_BYTES, `${free} bytes are free, and ${reserve} kept back`);
});

test('a copy that was given all its blocks is the same as one that ends with its data', async (t) => {
  const [source, target] = [await newDisk(t, { replicated: true }, 1), await newDisk(t, { replicated: true }, 2)];
  for (const disk of [source, target]) await write(disk, 0, 1, Buffer.alloc(100_000, 3));
  await allocateObject(target, place(0), [{ layer: 1, limit: 0 }], 100_000, 1);
  const described = async (disk: Disk) => (await describeIndex(disk, place(0))).layers[0]!;
  const [short, filled] = [await described(source), await described(target)];
  t.is(filled.length, OBJECT_BYTES);
  t.is(filled.end, short.length);
  t.alike(filled.hashes.subarray(0, short.hashes.length), short.hashes);
  t.absent(filled.hashes.subarray(short.hashes.length).some((byte) => byte !== 0));
  // It is copied from what this disk has, which ends within the block.
  await write(source, 0, 2, Buffer.alloc(100_000, 3));
  const lacking = await newDisk(t, { replicated: true }, 3);
  await write(lacking, 0, 1, Buffer.alloc(100_000, 3));
  const pulled = await pullIndex(lacking, place(0), await describeIndex(target, place(0)), {
    group: { copies: 3, pg: 0 },
    fetch: () => Promise.reject(new Error('nothing is to be fetched')),
  });
  t.is(pulled.fetched, 0);
});
