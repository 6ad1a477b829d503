import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { type Assertions, test } from 'brittle';
import { Disk } from '../lib/store/index.js';
import { temporaryDirectory } from './helpers/cleanup.js';
import { CRASH_INDEXES, CRASH_SLOT_BYTES, CRASH_SLOTS } from './helpers/crash-plan.js';
import { DiskObjects } from './helpers/disk-objects.js';
import { allocatedBytes, chainOf, IDENTITY, readAt } from './helpers/disks.js';
import { Random } from './helpers/random.js';
import { until } from './helpers/until.js';

const WRITER = fileURLToPath(new URL('./helpers/crash-writer.js', import.meta.url));
const ROUNDS = 6;
const BASE = 111;

/** Values that a slot may have: one, but for those in flight at the kill. */
type Slots = Map<string, Set<number>>;

/** Runs the writer until it has said `lines` lines, kills it, and notes what it was answered. */
async function writeUntilKilled(directory: string, seed: number, lines: number, slots: Slots): Promise<number> {
  const child = spawn(process.execPath, [WRITER, directory, String(seed), '8'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  let count = 0;
  child.stdout.on('data', (data: Buffer) => {
    output += data;
    count += data.filter((byte) => byte === 10).length;
    if (count >= lines) child.kill('SIGKILL');
  });
  const signal = await new Promise((resolve) => child.on('close', (_, how) => resolve(how)));
  if (signal !== 'SIGKILL') throw new Error(`the writer ended by itself: ${signal}`);

  const running = new Map<string, { key: string; value: number }>();
  let answered = 0;
  for (const line of output.slice(0, output.lastIndexOf('\n') + 1).split('\n')) {
    const [kind, id, layer, index, slot, value] = line.split(' ');
    if (kind === 'w' || kind === 'd') running.set(id!, { key: `${layer} ${index} ${slot}`, value: Number(value) });
    if (kind !== 'a') continue;
    const { key, value: written } = running.get(id!)!;
    slots.set(key, new Set([written]));
    running.delete(id!);
    answered++;
  }
  // Begun and not answered: done or not, a byte here and there.
  for (const { key, value } of running.values()) slots.set(key, new Set([...(slots.get(key) ?? []), value, -1]));
  return answered;
}

/** Compares every slot, and takes what it has now for what it is to have. */
async function compare(t: Assertions, objects: DiskObjects, slots: Slots): Promise<void> {
  let [wrong, checked] = [0, 0];
  for (const chain of [chainOf(1, 1), chainOf(1, 3, 2)]) {
    const { layer } = chain.layers[0]!;
    for (let index = 0; index < CRASH_INDEXES; index++) {
      for (let slot = 0; slot < CRASH_SLOTS; slot++) {
        const key = `${layer} ${index} ${slot}`;
        const allowed = slots.get(key) ?? new Set([layer === 3 ? BASE : 0]);
        const bytes = await readAt(objects, chain, index, slot * CRASH_SLOT_BYTES, CRASH_SLOT_BYTES);
        if (allowed.has(-1)) {
          // Made whole again, so that the next round can tell.
          await objects.write(chain, index, slot * CRASH_SLOT_BYTES, Buffer.alloc(CRASH_SLOT_BYTES, 77));
          slots.set(key, new Set([77]));
        } else {
          const [value] = allowed;
          checked++;
          if (!bytes.equals(Buffer.alloc(CRASH_SLOT_BYTES, value))) wrong++;
        }
      }
    }
  }
  t.is(wrong, 0, `${checked} slots hold what was acknowledged`);
}

function countObjects(disk: Disk, layer: number): number {
  return disk.index.scan(1, 0, 2 ** 32, 1e6).filter((object) => object.layer === layer && object.kind === 1).length;
}

test('what was acknowledged survives kill -9, again and again', { timeout: 180_000 }, async (t) => {
  const directory = await temporaryDirectory(t);
  await Disk.format(directory, { ...IDENTITY, disk: 1 });
  const slots: Slots = new Map();
  const random = new Random(20);
  {
    const disk = await Disk.open(directory, IDENTITY);
    const objects = new DiskObjects([disk]);
    const base = Buffer.alloc(CRASH_SLOTS * CRASH_SLOT_BYTES, BASE);
    for (let index = 0; index < CRASH_INDEXES; index++) await objects.write(chainOf(1, 2), index, 0, base);
    await disk.close();
  }
  for (let round = 0; round < ROUNDS; round++) {
    const answered = await writeUntilKilled(directory, round, 20 + random.below(round < 3 ? 60 : 1500), slots);
    t.ok(answered > 0, `${answered} answered before the kill`);
    const disk = await Disk.open(directory, IDENTITY);
    try {
      const objects = new DiskObjects([disk]);
      await compare(t, objects, slots);
      for (const layer of [1, 2, 3]) {
        t.is(disk.index.count(1, layer), countObjects(disk, layer), 'objects are counted right');
        await until('usage to be right', () => objects.usage(1, layer) === allocatedBytes(disk, 1, layer));
      }
      await objects.flush(chainOf(1, 3, 2));
      t.is(disk.index.unsyncedObjects().length, 0);
    } finally {
      await disk.close();
    }
  }
});
