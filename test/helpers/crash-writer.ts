/**
 * A program: writes at random to a disk until it is killed, and tells on standard output what it does: before each write
 * `w <id> <layer> <index> <slot> <value>`, likewise `d` for a discard, and `a <id>` when that was answered.
 *
 * Arguments: directory, seed, operations at once.
 */
import { writeSync } from 'node:fs';
import { Disk } from '../../lib/store/index.js';
import { CRASH_INDEXES, CRASH_SLOT_BYTES, CRASH_SLOTS } from './crash-plan.js';
import { DiskObjects } from './disk-objects.js';
import { chainOf, IDENTITY } from './disks.js';
import { Random } from './random.js';

const [directory, seed, width] = process.argv.slice(2);
const random = new Random(Number(seed));
const disk = await Disk.open(directory!, IDENTITY);
const objects = new DiskObjects([disk]);
const images = [chainOf(1, 1), chainOf(1, 3, 2)];
const busy = new Set<string>();
let nextId = 1;

function tell(line: string): void {
  writeSync(1, `${line}\n`);
}

async function step(): Promise<void> {
  const image = images[random.below(images.length)]!;
  const { layer } = image.layers[0]!;
  const [index, slot] = [random.below(CRASH_INDEXES), random.below(CRASH_SLOTS)];
  const key = `${layer} ${index} ${slot}`;
  if (busy.has(key)) {
    await new Promise(setImmediate);
    return;
  }
  busy.add(key);
  const id = nextId++;
  const offset = slot * CRASH_SLOT_BYTES;
  if (random.chance(0.15)) {
    tell(`d ${id} ${key} 0`);
    await objects.discard(image, { index, offset, length: CRASH_SLOT_BYTES });
  } else {
    const value = 1 + random.below(255);
    tell(`w ${id} ${key} ${value}`);
    await objects.write(image, index, offset, Buffer.alloc(CRASH_SLOT_BYTES, value));
  }
  tell(`a ${id}`);
  busy.delete(key);
  if (random.chance(0.02)) await objects.flush(image);
}

await Promise.all(
  Array.from({ length: Number(width) }, async () => {
    for (;;) await step();
  }),
);
