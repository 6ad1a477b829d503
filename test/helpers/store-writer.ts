/** A program: works on two disks at random, and notes what it does, until it is killed. Argument: a file with its task. */
import { existsSync, openSync, readdirSync, readFileSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { OBJECT_BYTES } from '../../lib/replication/object-io.js';
import { Disk } from '../../lib/store/index.js';
import { DiskObjects } from './disk-objects.js';
import { IDENTITY } from './disks.js';
import { Random } from './random.js';
import { readStamp, stamp } from './stamps.js';
import {
  chainIn,
  INDEXES,
  mergeable,
  type Note,
  type PlannedImage,
  SECTOR_BYTES,
  SECTORS,
  UNLIMITED,
  type WriterTask,
} from './store-plan.js';
import { until } from './until.js';
import { HOLD_NAME } from './volatile-filesystem.js';

const IMAGES_MAX = 4;
const LAYERS_MAX = 4;
/** Ranges that run at the same time lie in different slots; few are used, so that ranges meet again. */
const SLOT_BYTES = 64 * 1024;
const SLOTS = [0, 1, 2, 17, 62, 63];
const SLOT_SECTORS = SLOT_BYTES / SECTOR_BYTES;
const OBJECT_SECTORS = OBJECT_BYTES / SECTOR_BYTES;

const task = JSON.parse(readFileSync(process.argv[2]!, 'utf8')) as WriterTask;
const { plan } = task;
const random = new Random(task.seed);
const notes = openSync(task.notes, 'a');
let next = task.first;

function note(line: Note): void {
  writeSync(notes, `${JSON.stringify(line)}\n`);
}

const disks: Disk[] = [];
for (const directory of task.disks) disks.push(await Disk.open(directory, IDENTITY));
const objects = new DiskObjects(disks);

await showViews();
checkIndex();
await goOn();
if (task.finish) {
  await finish();
} else {
  for (;;) await step();
}

/** Something was done that others rely on: a good moment for the power to fail. */
function milestone(chance: number): void {
  // There is no such name; that it is looked up is enough.
  if (!task.finish && random.chance(chance)) existsSync(join(task.disks[0]!, HOLD_NAME));
}

/** Writes down what every sector of every image holds: the number of a write, or 0. */
async function showViews(): Promise<void> {
  const buffer = Buffer.alloc(OBJECT_BYTES);
  const zeros = Buffer.alloc(OBJECT_BYTES);
  const views: Buffer[] = [];
  for (const image of plan.images) {
    const view = new Uint32Array(SECTORS);
    for (let index = 0; index < INDEXES; index++) {
      buffer.fill(0xee);
      await objects.read(chainIn(plan, image), index, 0, buffer);
      if (buffer.equals(zeros)) continue;
      for (let sector = 0; sector < OBJECT_SECTORS; sector++) {
        view[index * OBJECT_SECTORS + sector] = valueAt(buffer, image, index, sector);
      }
    }
    views.push(Buffer.from(view.buffer));
  }
  writeFileSync(task.views, Buffer.concat(views));
  note({ kind: 'views' });
}

function valueAt(buffer: Buffer, image: PlannedImage, index: number, sector: number): number {
  const bytes = buffer.subarray(sector * SECTOR_BYTES, (sector + 1) * SECTOR_BYTES);
  const value = readStamp(bytes, image.family, index * OBJECT_SECTORS + sector);
  if (value !== null) return value;
  note({ kind: 'wrong', what: `image ${image.id} index ${index} sector ${sector} holds ${bytes.toString('hex')}` });
  return 0;
}

/** Every entry must belong to a layer that is known, and lie on the disk of its group. */
function checkIndex(): void {
  const layers = new Set([
    ...plan.images.flatMap((image) => image.layers.map((layer) => `${image.family}/${layer}`)),
    ...plan.doomed.map(({ family, layer }) => `${family}/${layer}`),
    ...(plan.merging ? [`${plan.merging.family}/${plan.merging.layer}`] : []),
  ]);
  for (const disk of disks) {
    for (let family = disk.index.nextFamily(0); family !== null; family = disk.index.nextFamily(family + 1)) {
      for (const { layer, index } of disk.index.scan(family, 0, INDEXES + 1, 1e6)) {
        const place = `disk ${disk.number} has layer ${family}/${layer} at index ${index}`;
        if (!layers.has(`${family}/${layer}`)) note({ kind: 'wrong', what: `${place}, which nothing refers to` });
        const { number } = objects.diskOf(family, index);
        if (disk.number !== number) note({ kind: 'wrong', what: `${place}, whose group is on disk ${number}` });
      }
    }
  }
}

/** Finishes what was begun before the writer was killed. */
async function goOn(): Promise<void> {
  if (plan.cutting) await cut();
  await clean();
  if (plan.merging) await mergeMeanwhile();
}

/** Merges, with or without changes meanwhile. */
async function mergeMeanwhile(): Promise<void> {
  await Promise.all([merge(), task.finish || random.chance(0.5) ? null : changes()]);
}

async function step(): Promise<void> {
  const { images } = plan;
  if (images.length === 0) {
    const layer = plan.next++;
    plan.limits[layer] = UNLIMITED;
    images.push({ id: plan.next++, family: 1 + random.below(3), layers: [layer] });
    note({ kind: 'plan', plan });
    return;
  }
  const image = images[random.below(images.length)]!;
  const chance = random.next();
  if (chance < 0.6) await changes();
  else if (chance < 0.71) await flush(image);
  else if (chance < 0.75) await truncate(image);
  else if (chance < 0.86) await clone(image);
  else if (chance < 0.9) await remove(image);
  else await startMerge();
}

/** A few writes and discards at once, none of which overlap. */
async function changes(): Promise<void> {
  const { images } = plan;
  const taken = new Set<string>();
  const running: Promise<void>[] = [];
  for (let count = images.length === 0 ? 0 : 1 + random.below(6); count > 0; count--) {
    const image = images[random.below(images.length)]!;
    const index = random.below(INDEXES);
    const slot = SLOTS[random.below(SLOTS.length)]!;
    const key = `${image.id} ${index}`;
    if (taken.has(`${key} ${slot}`) || taken.has(`${key} whole`)) continue;
    if (random.chance(0.07) && !SLOTS.some((other) => taken.has(`${key} ${other}`))) {
      taken.add(`${key} whole`);
      running.push(random.chance(0.2) ? objects.allocate(chainIn(plan, image), index, 0) : discard(image, index, null));
      continue;
    }
    taken.add(`${key} ${slot}`);
    running.push(random.chance(0.2) ? discard(image, index, slot) : write(image, index, slot));
  }
  if (images.length > 0 && random.chance(0.2)) running.push(flush(images[random.below(images.length)]!));
  await Promise.all(running);
}

async function write(image: PlannedImage, index: number, slot: number): Promise<void> {
  const start = random.below(SLOT_SECTORS);
  const count = 1 + random.below(random.chance(0.5) ? Math.min(8, SLOT_SECTORS - start) : SLOT_SECTORS - start);
  const sector = slot * SLOT_SECTORS + start;
  const value = next++;
  const source = Buffer.alloc(count * SECTOR_BYTES);
  stamp(source, image.family, index * OBJECT_SECTORS + sector, value);
  await change(image, index, sector, count, value, () =>
    objects.write(chainIn(plan, image), index, sector * SECTOR_BYTES, source),
  );
}

/** Discards a part of a slot, or all of the object. */
async function discard(image: PlannedImage, index: number, slot: number | null): Promise<void> {
  const start = slot === null ? 0 : random.below(SLOT_SECTORS);
  const count = slot === null ? OBJECT_SECTORS : 1 + random.below(SLOT_SECTORS - start);
  const sector = slot === null ? 0 : slot * SLOT_SECTORS + start;
  await change(image, index, sector, count, 0, () =>
    objects.discard(chainIn(plan, image), {
      index,
      offset: sector * SECTOR_BYTES,
      length: count * SECTOR_BYTES,
    }),
  );
}

async function change(
  image: PlannedImage,
  index: number,
  sector: number,
  count: number,
  value: number,
  work: () => Promise<void>,
): Promise<void> {
  const operation = next++;
  note({ kind: 'change', operation, image: image.id, first: index * OBJECT_SECTORS + sector, count, value });
  await work();
  note({ kind: 'answered', operation });
}

async function flush(image: PlannedImage): Promise<void> {
  const operation = next++;
  note({ kind: 'flush', operation, image: image.id });
  await objects.flush(chainIn(plan, image));
  note({ kind: 'answered', operation });
  milestone(0.02);
}

async function truncate(image: PlannedImage): Promise<void> {
  const size = random.below(SECTORS) * SECTOR_BYTES;
  const top = image.layers[0]!;
  plan.limits[top] = Math.min(plan.limits[top]!, size);
  plan.cutting = { image: image.id, size };
  note({ kind: 'plan', plan });
  await cut();
}

async function cut(): Promise<void> {
  const { image: id, size } = plan.cutting!;
  const image = plan.images.find((each) => each.id === id)!;
  const first = size / SECTOR_BYTES;
  const operation = next++;
  note({ kind: 'change', operation, image: id, first, count: SECTORS - first, value: 0 });
  await objects.truncate(chainIn(plan, image), size);
  note({ kind: 'answered', operation });
  plan.cutting = null;
  note({ kind: 'plan', plan });
  milestone(0.1);
}

/** A new image on top of what the source holds now; both go on in layers of their own. */
async function clone(source: PlannedImage): Promise<void> {
  if (source.layers.length >= LAYERS_MAX || plan.images.length >= IMAGES_MAX) return;
  await flush(source);
  const limit = () => (random.chance(0.5) ? UNLIMITED : random.below(SECTORS) * SECTOR_BYTES);
  const [own, other, id] = [plan.next++, plan.next++, plan.next++];
  plan.limits[own] = limit();
  plan.limits[other] = limit();
  plan.images.push({ id, family: source.family, layers: [other, ...source.layers] });
  source.layers = [own, ...source.layers];
  const sectors = (layer: number) => Math.min(SECTORS, plan.limits[layer]! / SECTOR_BYTES);
  note({
    kind: 'clone',
    source: source.id,
    sourceSectors: sectors(own),
    target: id,
    targetSectors: sectors(other),
    plan,
  });
}

async function remove(image: PlannedImage): Promise<void> {
  const { family } = image;
  plan.images = plan.images.filter((other) => other !== image);
  const used = new Set(plan.images.flatMap(({ layers }) => layers));
  plan.doomed.push(...image.layers.filter((layer) => !used.has(layer)).map((layer) => ({ family, layer })));
  note({ kind: 'plan', plan });
  await clean();
}

async function clean(): Promise<void> {
  for (let doomed = plan.doomed[0]; doomed; doomed = plan.doomed[0]) {
    await objects.deleteLayer(doomed.family, doomed.layer);
    plan.doomed.shift();
    note({ kind: 'plan', plan });
    milestone(0.1);
  }
}

async function startMerge(): Promise<void> {
  const choices = mergeable(plan);
  if (choices.length === 0) return;
  plan.merging = choices[random.below(choices.length)]!;
  note({ kind: 'plan', plan });
  await mergeMeanwhile();
}

async function merge(): Promise<void> {
  const { family, layer, child } = plan.merging!;
  await objects.mergeLayer(family, layer, child, plan.limits[child]!);
  plan.limits[child] = Math.min(plan.limits[child]!, plan.limits[layer]!);
  for (const image of plan.images) image.layers = image.layers.filter((other) => other !== layer);
  plan.merging = null;
  note({ kind: 'plan', plan });
  milestone(0.2);
}

/** Leftovers go away by themselves, and a disk that is closed can be opened. */
async function finish(): Promise<void> {
  for (const disk of disks) {
    const known = new Set<string>();
    for (let family = disk.index.nextFamily(0); family !== null; family = disk.index.nextFamily(family + 1)) {
      for (const { index, serial } of disk.index.scan(family, 0, INDEXES + 1, 1e6)) {
        if (serial !== 0) known.add(`${family}.${index}.${serial}`);
      }
    }
    const files = () => {
      const root = join(disk.directory, 'objects');
      return readdirSync(root).flatMap((group) => readdirSync(join(root, group)));
    };
    // Not all that the index has needs to be there: an object that was never flushed has no file after a power cut.
    const strays = () => files().filter((file) => !known.has(file));
    await until(`the end of ${strays()} on disk ${disk.number}`, () => strays().length === 0);
  }
  for (const disk of disks) await disk.close();
}
