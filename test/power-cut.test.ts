import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'brittle';
import { Disk } from '../lib/store/index.js';
import { temporaryDirectory } from './helpers/cleanup.js';
import { DiskObjects } from './helpers/disk-objects.js';
import { chainOf, IDENTITY, newDisk, openDisk, readAt } from './helpers/disks.js';
import { enterMachine } from './helpers/machine.js';
import { Random } from './helpers/random.js';
import { StoreRun } from './helpers/store-run.js';
import type { CutMode } from './helpers/volatile-filesystem.js';

await enterMachine();

test('a disk whose making was broken off is made', async (t) => {
  const directory = await temporaryDirectory(t);
  await mkdir(join(directory, 'objects'));
  await writeFile(join(directory, 'disk.json.new'), '');
  await Disk.format(directory, { ...IDENTITY, disk: 1 });
  await openDisk(t, directory);
  const other = await temporaryDirectory(t);
  await mkdir(join(other, 'objects'));
  await writeFile(join(other, 'objects', 'mine'), '');
  await t.exception(Disk.format(other, { ...IDENTITY, disk: 2 }), /is not empty/);
});

test('a disk that has lost its index is refused', async (t) => {
  const disk = await newDisk(t);
  const chain = chainOf(1, 1);
  const objects = new DiskObjects([disk]);
  await objects.write(chain, 0, 0, Buffer.alloc(4096, 1));
  await disk.close();
  const [index, away] = [join(disk.directory, 'index'), join(disk.directory, 'index-away')];
  await rename(index, away);
  await t.exception(Disk.open(disk.directory, IDENTITY), /has lost its index/);
  await rm(index, { recursive: true });
  await rename(away, index);
  const again = new DiskObjects([await openDisk(t, disk.directory)]);
  t.is((await readAt(again, chain, 0, 0, 1))[0], 1, 'nothing was harmed');
});

/** Another seed can be given, and more rounds. */
const SEED = Number(process.env.SEED ?? 1);
const ROUNDS = Number(process.env.ROUNDS ?? 64);
/** Rounds that go on from one another, before the disks are made anew. */
const ROUNDS_TOGETHER = 8;
/** How a round ends; null: the process alone. */
const ENDS: readonly (CutMode | null)[] = [null, null, 'lost', 'lost', 'torn', 'torn', 'kept'];

for (let seed = SEED; seed < SEED + ROUNDS / ROUNDS_TOGETHER; seed++) {
  test(`what was flushed survives, SEED=${seed} ROUNDS=${ROUNDS_TOGETHER}`, { timeout: 120_000 }, async (t) => {
    const random = new Random(seed);
    const run = await StoreRun.start(t, seed);
    for (let round = 0; round < ROUNDS_TOGETHER; round++) await run.round(ENDS[random.below(ENDS.length)]!);
    await run.finish();
    t.pass(run.summary);
  });
}
