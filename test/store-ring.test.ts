import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Assertions, test } from 'brittle';
import { FileIo } from '../lib/store/file-io.js';
import { type Done, RING_INCOMPLETE_MAX, RING_SLOTS, type RingRange, WriteRing } from '../lib/store/write-ring.js';
import { temporaryDirectory } from './helpers/cleanup.js';
import { killedCopy, newDisk, openDisk } from './helpers/disks.js';
import { Random } from './helpers/random.js';

const NOTHING_DONE: Done = { generation: 0, below: 0, older: false };

/** All up to this one is done. */
const upTo = (generation: number, sequence: number): Done => ({ generation, below: sequence + 1, older: true });

const rangeOf = (vdi: number, sequence: number, generation = 1): RingRange => ({
  vdi,
  family: 7,
  generation,
  sequence,
  index: sequence * 3,
  offset: 512 * sequence,
  length: 4096,
});

function openRing(directory: string, bootId = 'boot', rebooted = false): Promise<WriteRing> {
  return WriteRing.open(new FileIo(16, () => {}), directory, bootId, rebooted);
}

async function newRing(t: Assertions): Promise<{ ring: WriteRing; directory: string }> {
  const directory = await temporaryDirectory(t);
  const ring = await openRing(directory, 'boot', true);
  t.teardown(() => ring.close());
  return { ring, directory };
}

/** What a writer puts has the writer's own generation. */
function put(ring: WriteRing, range: RingRange, done: Done): void {
  const { family, index, offset, length, ...order } = range;
  if (done.generation !== order.generation) ring.tell(order.vdi, done);
  const isOwn = done.generation === order.generation;
  ring.put(order, family, index, offset, length, isOwn ? done.below : 0, isOwn && done.older);
}

const sequences = (ring: WriteRing, vdi: number) => ring.above(vdi).ranges.map(({ sequence }) => sequence);

test('what is not done survives the process, and not the kernel', async (t) => {
  const { ring, directory } = await newRing(t);
  for (let sequence = 1; sequence <= 20; sequence++) {
    put(ring, rangeOf(1, sequence), upTo(1, Math.max(0, sequence - 5)));
  }
  put(ring, rangeOf(2, 9, 4), NOTHING_DONE);
  t.alike(sequences(ring, 1), [16, 17, 18, 19, 20]);
  t.is(ring.slotsUsed, 6);

  const next = await openRing(directory);
  t.teardown(() => next.close());
  t.alike(next.above(1), ring.above(1));
  t.alike(next.above(2), { ranges: [rangeOf(2, 9, 4)], complete: true });
  next.tell(1, upTo(2, 0));
  t.alike(next.above(1), { ranges: [], complete: true }, 'a new generation carries done');

  const rebooted = await openRing(directory, 'other', true);
  t.alike(rebooted.above(2), { ranges: [], complete: true });
  rebooted.close();
  const strange = await openRing(directory, 'third', false);
  t.is(strange.above(2).complete, false, 'a ring that lacks part of this boot knows nothing');
  strange.close();
});

test('a new generation of which nothing is done ends the older ones alone', async (t) => {
  const { ring, directory } = await newRing(t);
  put(ring, rangeOf(1, 5, 1), upTo(1, -1));
  put(ring, rangeOf(1, 0, 2), upTo(1, -1));
  t.alike(sequences(ring, 1), [5, 0]);
  put(ring, rangeOf(1, 1, 2), upTo(2, -1));
  t.alike(sequences(ring, 1), [0, 1]);
  const next = await openRing(directory);
  t.alike(sequences(next, 1), [0, 1]);
  next.close();
});

test('done never falls, and frees slots for others', async (t) => {
  const { ring } = await newRing(t);
  for (let sequence = 1; sequence <= 3 * RING_SLOTS; sequence++) {
    put(ring, rangeOf(1 + (sequence % 2), sequence), sequence % 7 === 0 ? NOTHING_DONE : upTo(1, sequence - 1));
  }
  t.ok(ring.above(1).complete && ring.above(2).complete);
  t.ok(ring.slotsUsed < 20, `${ring.slotsUsed} slots in use`);
});

test('a full ring makes images incomplete until their writes are done', async (t) => {
  const { ring, directory } = await newRing(t);
  for (let sequence = 1; sequence <= RING_SLOTS; sequence++) put(ring, rangeOf(1, sequence), NOTHING_DONE);
  for (let sequence = 1; sequence <= 3; sequence++) put(ring, rangeOf(2, sequence), NOTHING_DONE);
  t.is(ring.above(1).complete, true);
  t.is(ring.above(2).complete, false);
  const next = await openRing(directory);
  t.is(next.above(1).ranges.length, RING_SLOTS);
  t.is(next.above(2).complete, false);
  next.close();

  ring.tell(2, upTo(1, 2));
  t.is(ring.above(2).complete, false);
  ring.tell(2, { generation: 1, below: 9, older: false });
  t.is(ring.above(2).complete, false, 'what is older may have been left out as well');
  ring.tell(2, upTo(1, 3));
  t.is(ring.above(2).complete, true);
  for (let vdi = 10; vdi < 10 + RING_INCOMPLETE_MAX; vdi++) put(ring, rangeOf(vdi, 1), NOTHING_DONE);
  t.is(ring.above(1).complete, true);
  put(ring, rangeOf(5000, 1), NOTHING_DONE);
  t.is(ring.above(1).complete, false, 'more than can be said');
  const lost = await openRing(directory);
  t.is(lost.above(1).complete, false);
  lost.close();
});

test('a torn slot is seen, and a torn header', async (t) => {
  const { ring, directory } = await newRing(t);
  for (let sequence = 1; sequence <= 4; sequence++) put(ring, rangeOf(1, sequence), NOTHING_DONE);
  const path = join(directory, 'ring');
  const bytes = readFileSync(path);
  const random = new Random(3);
  for (let round = 0; round < 50; round++) {
    const torn = Buffer.from(bytes);
    // The second slot, some of which was not written.
    const at = 4096 + 64 + 4 + random.below(48);
    torn[at] = torn[at]! ^ (1 + random.below(255));
    writeFileSync(path, torn);
    const next = await openRing(directory);
    if (!t.alike(sequences(next, 1), [1, 3, 4])) t.comment(`byte ${at}`);
    next.close();
  }
  const torn = Buffer.from(bytes);
  torn[30] = torn[30]! ^ 1;
  writeFileSync(path, torn);
  const next = await openRing(directory);
  t.is(next.above(1).complete, false);
  next.close();
});

test('a disk has its ring again after kill -9', async (t) => {
  const disk = await newDisk(t, { replicated: true });
  put(disk.ring!, rangeOf(3, 8), NOTHING_DONE);
  const copy = await openDisk(t, await killedCopy(t, disk), { replicated: true });
  t.alike(copy.ring!.above(3), { ranges: [rangeOf(3, 8)], complete: true });
});

test('while what is older is not done, a generation frees its own slots', async (t) => {
  const { ring, directory } = await newRing(t);
  put(ring, rangeOf(1, 5, 1), NOTHING_DONE);
  for (let sequence = 0; sequence <= 9; sequence++) {
    put(ring, rangeOf(1, sequence, 2), { generation: 2, below: sequence, older: false });
  }
  t.alike(sequences(ring, 1), [5, 9]);
  const next = await openRing(directory);
  t.ok(sequences(next, 1).includes(5), 'it is not forgotten by a killed process either');
  next.close();
  ring.tell(1, { generation: 2, below: 9, older: true });
  t.alike(sequences(ring, 1), [9]);
});

test('who copies an index takes over what is doubtful about it', async (t) => {
  const { ring } = await newRing(t);
  const { ring: copier } = await newRing(t);
  put(ring, rangeOf(1, 5), NOTHING_DONE);
  put(ring, rangeOf(1, 6), NOTHING_DONE);
  put(ring, { ...rangeOf(2, 9), family: 8 }, NOTHING_DONE);
  copier.inherit([ring.doubts(7, rangeOf(1, 5).index), ring.doubts(7, rangeOf(1, 5).index)]);
  t.alike(copier.above(1), { ranges: [rangeOf(1, 5)], complete: true });
  t.alike(copier.above(2), { ranges: [], complete: true });

  for (let sequence = 10; ring.slotsUsed < RING_SLOTS; sequence++) put(ring, rangeOf(3, sequence), NOTHING_DONE);
  put(ring, rangeOf(1, 7), NOTHING_DONE);
  copier.tell(1, upTo(1, 5));
  copier.inherit([ring.doubts(7, rangeOf(1, 5).index)]);
  t.alike(copier.above(1), { ranges: [], complete: false }, 'what is not recorded there, but not what is done here');
  copier.tell(1, upTo(1, 7));
  t.is(copier.above(1).complete, true);
});
