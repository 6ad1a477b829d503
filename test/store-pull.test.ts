import { readdir, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { type Assertions, test } from 'brittle';
import type { GroupName } from '../lib/store/group-records.js';
import { Disk, type DiskOptions, type System } from '../lib/store/index.js';
import type { Place } from '../lib/store/object-create.js';
import { discardObject } from '../lib/store/object-discard.js';
import { describeIndex, PULL_BLOCK_BYTES, type PullResult, pullIndex, readBlocks } from '../lib/store/object-pull.js';
import { writeObject } from '../lib/store/object-write.js';
import { retireObjects } from '../lib/store/retirement.js';
import { SYSTEM } from '../lib/store/system.js';
import { IDENTITY, killedCopy, newDisk, openDisk } from './helpers/disks.js';
import { contentOf, scribble } from './helpers/index-content.js';
import { Random } from './helpers/random.js';
import { MachineRun } from './helpers/simulated-machine.js';
import { until } from './helpers/until.js';

const REPLICATED: DiskOptions = { replicated: true };
const GROUP: GroupName = { copies: 3, pg: 5 };
const PLACE: Place = { pg: 5, family: 7, index: 5 };
const STAY = { epoch: 4, bootId: 'boot' };
const NEXT_BOOT: System = { ...SYSTEM, bootId: () => 'another boot' };
const OBJECT_BYTES = 1024 * 4096;

async function pull(source: Disk, target: Disk): Promise<PullResult> {
  const description = await describeIndex(source, PLACE);
  return pullIndex(target, PLACE, description, {
    group: GROUP,
    fetch: async (range) => {
      const bytes = await readBlocks(source, PLACE, range);
      if (!bytes) throw new Error('the source has changed');
      return bytes;
    },
  });
}

function write(disk: Disk, layer: number, offset: number, source: Buffer, epoch = 1, sequence = 1): Promise<void> {
  const order = { vdi: 9, generation: 1, sequence };
  return writeObject(disk, PLACE, [{ layer, limit: 0 }], offset, source, epoch, order);
}

async function twoDisks(t: Assertions): Promise<[source: Disk, target: Disk]> {
  return [await newDisk(t, REPLICATED, 1), await newDisk(t, REPLICATED, 2)];
}

/** The object files of a disk's group, by serial. */
async function filesOf(directory: string): Promise<string[]> {
  const group = join(directory, 'objects', String(PLACE.pg));
  const names = await readdir(group).catch(() => []);
  return names.sort((a, b) => Number(a.split('.')[2]) - Number(b.split('.')[2])).map((name) => join(group, name));
}

test('a pull makes all layers of an index equal, takes it off the list, and survives kill -9', async (t) => {
  const seed = Number(process.env.SEED ?? Date.now() % 1e6);
  t.comment(`seed ${seed}`);
  const random = new Random(seed);
  for (let round = 0; round < 6; round++) {
    const [source, target] = await twoDisks(t);
    await scribble(source, PLACE, random, { layers: 4, changes: random.below(12), epoch: 5 });
    await scribble(target, PLACE, random, { layers: 5, changes: random.below(12), epoch: 3 });
    await target.toDo.store(GROUP, STAY, [PLACE, { family: 7, index: 21 }]);
    const wanted = await contentOf(source, PLACE);
    await pull(source, target);
    const active = (await describeIndex(target, PLACE)).layers.filter((layer) => layer.active);
    t.ok(active.length >= wanted.filter((layer) => layer.active).length);
    await target.flushAll();
    t.alike(await contentOf(target, PLACE), wanted, `round ${round}: ${wanted.length} layers`);
    t.absent(target.toDo.has(GROUP, 7, 5));
    t.ok(target.toDo.has(GROUP, 7, 21));
    t.alike(
      (await describeIndex(target, PLACE)).layers,
      unnumbered(await describeIndex(source, PLACE), target),
      'as described',
    );
    const copy = await openDisk(t, await killedCopy(t, target), REPLICATED);
    t.alike(await contentOf(copy, PLACE), wanted);
    t.is(copy.toDo.count(GROUP), 1);
  }
});

/** The layers of the description, with the serials of another disk. */
function unnumbered({ layers }: Awaited<ReturnType<typeof describeIndex>>, disk: Disk) {
  return layers.map((layer) => {
    const found = disk.index.find(PLACE.family, PLACE.index, layer.layer);
    return { ...layer, serial: found === 1 ? disk.index.foundSerial : 0 };
  });
}

test('only blocks that differ are fetched, those of a layer that was merged at the source neither', async (t) => {
  const [source, target] = await twoDisks(t);
  const bytes = Buffer.alloc(OBJECT_BYTES);
  new Random(1).fill(bytes);
  for (const disk of [source, target]) await write(disk, 1, 0, bytes);
  await write(target, 1, 3 * PULL_BLOCK_BYTES + 17, Buffer.alloc(2, 1));
  await write(source, 1, 9 * PULL_BLOCK_BYTES + 17, Buffer.alloc(PULL_BLOCK_BYTES, 2));
  const first = await pull(source, target);
  t.is(first.fetched, 3 * PULL_BLOCK_BYTES);
  t.is(first.installed, 1);
  t.alike(await contentOf(target, PLACE), await contentOf(source, PLACE));

  t.alike(await pull(source, target), { fetched: 0, copied: 0, installed: 0 }, 'equal: nothing is made anew');

  // As a merge of layer 1 into its child 2 leaves it.
  const [merged, other] = await twoDisks(t);
  await write(merged, 2, 0, bytes);
  await write(other, 1, 0, bytes);
  t.is((await pull(merged, other)).fetched, 0);
  t.alike(await contentOf(other, PLACE), await contentOf(merged, PLACE));
});

test('zeros are not fetched, and a failed fetch changes nothing', async (t) => {
  const [source, target] = await twoDisks(t);
  await write(source, 1, OBJECT_BYTES - 512, Buffer.alloc(512, 3));
  await write(source, 2, 0, Buffer.alloc(PULL_BLOCK_BYTES, 4));
  await write(target, 1, 0, Buffer.alloc(OBJECT_BYTES, 1));
  await target.flushAll();
  const before = await contentOf(target, PLACE);
  const description = await describeIndex(source, PLACE);
  const fetch = () => Promise.reject(new Error('the source is gone'));
  await t.exception(pullIndex(target, PLACE, description, { group: GROUP, fetch }), /source is gone/);
  t.alike(await contentOf(target, PLACE), before);
  await until('what was begun is unlinked', async () => (await filesOf(target.directory)).length === 1);
  t.is((await pull(source, target)).fetched, 2 * PULL_BLOCK_BYTES);
  t.alike(await contentOf(target, PLACE), await contentOf(source, PLACE));
});

test('a power cut before the sync takes the whole index back; what was replaced goes after it', async (t) => {
  const [source, target] = await twoDisks(t);
  await write(source, 1, 0, Buffer.alloc(8192, 1), 5);
  await write(source, 2, 0, Buffer.alloc(8192, 2), 5);
  await discardObject(
    source,
    PLACE,
    [
      { layer: 3, limit: OBJECT_BYTES * 9 },
      { layer: 1, limit: 0 },
    ],
    0,
    OBJECT_BYTES,
    5,
  );
  for (const [layer, byte] of [
    [1, 7],
    [3, 8],
    [4, 9],
  ])
    await write(target, layer!, 0, Buffer.alloc(4096, byte), 2);
  await target.flushAll();
  const before = await contentOf(target, PLACE);
  await pull(source, target);
  const unsynced = await killedCopy(t, target);
  t.is((await filesOf(unsynced)).length, 5, 'what was replaced or deleted is kept');
  for (const torn of (await filesOf(unsynced)).slice(3)) await truncate(torn, 100);
  const back = await openDisk(t, unsynced, { ...REPLICATED, system: NEXT_BOOT });
  t.alike(await contentOf(back, PLACE), before);
  await until('torn files are swept', async () => (await filesOf(unsynced)).length === 3);

  await target.flushAll();
  await until('what was replaced is unlinked', async () => (await filesOf(target.directory)).length === 2);
  const synced = await killedCopy(t, target);
  const stays = await openDisk(t, synced, { ...REPLICATED, system: NEXT_BOOT });
  t.alike(await contentOf(stays, PLACE), await contentOf(source, PLACE));
  t.is((await filesOf(synced)).length, 2);
});

test('what an earlier process pulled is synced by the next, which lets go what it replaced', async (t) => {
  const [source, target] = await twoDisks(t);
  await write(source, 1, 0, Buffer.alloc(8192, 1), 5);
  await write(target, 1, 0, Buffer.alloc(4096, 2), 2);
  await target.flushAll();
  await pull(source, target);
  const copy = await killedCopy(t, target);
  const next = await openDisk(t, copy, REPLICATED);
  await next.flushAll();
  await until('what was replaced is gone', async () => (await filesOf(copy)).length === 1);
  t.absent(next.replaced.has(7, 5));
  t.alike(await contentOf(next, PLACE), await contentOf(source, PLACE));
});

test('what is active at the source is active here; what is active only here is until it is on disk', async (t) => {
  const [source, target] = await twoDisks(t);
  const same = Buffer.alloc(4096, 1);
  for (const layer of [1, 2, 3]) {
    await write(source, layer, 0, same, 5, 10 + layer);
    await write(target, layer, 0, layer === 3 ? Buffer.alloc(4096, 2) : same, 5, layer);
  }
  const done = { family: 7, index: 5, generation: 1, sequence: 99 };
  await source.flushAll();
  t.is(
    await retireObjects(source, [
      { ...done, layer: 1 },
      { ...done, layer: 3 },
    ]),
    2,
  );
  await pull(source, target);
  const state = (layer: number) => target.layer(7, layer).active.get(5);
  t.ok(state(1) && state(3), 'still active');
  t.is(state(2)?.sequence, 12, 'the last write that the source knows');
  await target.flushAll();
  t.absent(state(1) || state(3));
  t.absent(target.index.isActive(7, 5, 1));
  t.ok(target.index.isActive(7, 5, 2));
});

/** Random pulls on a simulated machine, which ends in the middle. */
async function endedPull(t: Assertions, seed: number): Promise<{ kind: string; state: string }> {
  const run = new MachineRun(seed, 2, { capacityBytes: 256 * 1024 * 1024, clones: seed % 2 === 0 });
  const { random, directories } = run;
  for (const [at, directory] of directories.entries()) {
    await run.settle(Disk.format(directory, { ...IDENTITY, disk: at + 1 }, run.system));
  }
  const open = async () => {
    const options = { ...REPLICATED, system: run.system };
    const source = await run.settle(Disk.open(directories[0]!, IDENTITY, options));
    return { source, target: await run.settle(Disk.open(directories[1]!, IDENTITY, options)) };
  };
  let { source, target } = await open();
  await run.settle(scribble(source, PLACE, random, { layers: 3, changes: 1 + random.below(8), epoch: 5 }));
  await run.settle(scribble(target, PLACE, random, { layers: 4, changes: random.below(8), epoch: 3 }));
  await run.settle(target.toDo.store(GROUP, STAY, [PLACE]));
  await run.settle(Promise.all([source.flushAll(), target.flushAll()]));
  const wanted = await run.settle(contentOf(source, PLACE));
  const before = await run.settle(contentOf(target, PLACE));
  let pulled = false;
  let synced = false;
  const running = pull(source, target)
    .then(() => {
      pulled = true;
      return target.flushAll();
    })
    .then(() => {
      synced = true;
    });
  running.catch(() => {});
  await run.pass(random.next() * random.next() * 60);
  const [atPulled, atSynced] = [pulled, synced];
  const power = random.chance(0.6);
  if (power) run.reboot();
  else run.kill();
  ({ source, target } = await open());
  const found = await run.settle(contentOf(target, PLACE));
  const plain = (layers: typeof found) => JSON.stringify(layers.map((layer) => ({ ...layer, active: false })));
  const isNew = plain(found) === plain(wanted);
  const isOld = plain(found) === plain(before);
  if (!isNew && !isOld) t.alike(found, wanted, `seed ${seed}: neither the old nor the new, power cut: ${power}`);
  if (!isNew && (power ? atSynced : atPulled)) t.fail(`seed ${seed}: what was done is gone`);
  const inactive = wanted.find(({ layer, active }) => active && !found.find((other) => other.layer === layer)?.active);
  if (isNew && inactive) t.fail(`seed ${seed}: layer ${inactive.layer} is visible and not active`);
  if (isNew !== isOld && !power && target.toDo.has(GROUP, 7, 5) !== isOld) t.fail(`seed ${seed}: the list is wrong`);
  await run.settle(pull(source, target));
  await run.settle(target.flushAll());
  if (plain(await run.settle(contentOf(target, PLACE))) !== plain(wanted)) t.fail(`seed ${seed}: not equal in the end`);
  await run.settle(Promise.all([source.close(), target.close()]));
  if (run.system.files.descriptors > 0) t.fail(`seed ${seed}: descriptors are left open`);
  return { kind: power ? 'power' : 'kill', state: isNew === isOld ? 'same' : isNew ? 'new' : 'old' };
}

test('kill -9 or a power cut at any moment leaves the old or the new', { timeout: 120_000 }, async (t) => {
  const first = Number(process.env.SIMULATION_SEED ?? Date.now() % 1e6);
  const seeds = Number(process.env.SIMULATION_SEEDS ?? 120);
  const counts = new Map<string, number>();
  for (let seed = first; seed < first + seeds; seed++) {
    try {
      const { kind, state } = await endedPull(t, seed);
      counts.set(`${kind} ${state}`, (counts.get(`${kind} ${state}`) ?? 0) + 1);
    } catch (error) {
      t.fail(`seed ${seed}: ${error instanceof Error ? error.stack : error}`);
    }
  }
  t.comment(
    `seeds from ${first}: ${[...counts]
      .sort()
      .map(([name, count]) => `${name} ${count}`)
      .join(', ')}`,
  );
  for (const name of ['power old', 'power new', 'kill old', 'kill new']) t.ok((counts.get(name) ?? 0) > 0, name);
});
