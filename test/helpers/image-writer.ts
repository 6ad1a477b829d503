/**
 * A program: writes to image files in a directory at random, and notes what it does, until it is killed. Argument: a
 * file with its task.
 */
import { constants, openSync, readFileSync, writeFileSync, writeSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { OBJECT_BYTES } from '../../lib/replication/object-io.js';
import { Random } from './random.js';
import { readStamp, stamp } from './stamps.js';
import { INDEXES, type Note, type PlannedImage, SECTOR_BYTES, SECTORS, type WriterTask } from './store-plan.js';

const IMAGES = 3;
const IMAGE_BYTES = INDEXES * OBJECT_BYTES;
const WRITE_SECTORS_MAX = 64;
const { O_RDWR, O_CREAT, O_DSYNC } = constants;

const task = JSON.parse(readFileSync(process.argv[2]!, 'utf8')) as WriterTask;
const { plan } = task;
const directory = task.disks[0]!;
const random = new Random(task.seed);
const notes = openSync(task.notes, 'a');
let next = task.first;

interface OpenImage {
  image: PlannedImage;
  file: FileHandle;
  /** The same file, every write to which is synced. */
  through: FileHandle;
}

const images: OpenImage[] = [];
for (const image of plan.images) images.push(await openImage(image, 0));
await showViews();
while (!task.finish) await step();

function note(line: Note): void {
  writeSync(notes, `${JSON.stringify(line)}\n`);
}

async function openImage(image: PlannedImage, flags: number): Promise<OpenImage> {
  const path = join(directory, `image-${image.id}`);
  const file = await open(path, O_RDWR | flags);
  if (flags & O_CREAT) await file.truncate(IMAGE_BYTES);
  return { image, file, through: await open(path, O_RDWR | O_DSYNC) };
}

async function showViews(): Promise<void> {
  const views: Buffer[] = [];
  const bytes = Buffer.alloc(IMAGE_BYTES);
  for (const { image, file } of images) {
    const view = new Uint32Array(SECTORS);
    const { size } = await file.stat();
    if (size !== IMAGE_BYTES) note({ kind: 'wrong', what: `image ${image.id} has ${size} bytes` });
    bytes.fill(0);
    for (let at = 0; at < size; at += OBJECT_BYTES) await file.read(bytes, at, OBJECT_BYTES, at);
    for (let sector = 0; sector < SECTORS; sector++) {
      const own = bytes.subarray(sector * SECTOR_BYTES, (sector + 1) * SECTOR_BYTES);
      const value = readStamp(own, image.id, sector);
      if (value === null) {
        note({ kind: 'wrong', what: `image ${image.id} sector ${sector} holds ${own.toString('hex')}` });
      }
      view[sector] = value ?? 0;
    }
    views.push(Buffer.from(view.buffer));
  }
  writeFileSync(task.views, Buffer.concat(views));
  note({ kind: 'views' });
}

async function step(): Promise<void> {
  if (images.length < IMAGES) {
    const image = { id: plan.next++, family: 0, layers: [] };
    images.push(await openImage(image, O_CREAT));
    plan.images.push(image);
    note({ kind: 'plan', plan });
  }
  const { image, file, through } = images[random.below(images.length)]!;
  if (random.chance(0.2)) {
    const operation = next++;
    note({ kind: 'flush', operation, image: image.id });
    await (random.chance(0.5) ? file.sync() : file.datasync());
    note({ kind: 'answered', operation });
    return;
  }
  // Ranges of writes that run at the same time lie apart.
  const parts = 1 + random.below(4);
  const span = Math.floor(SECTORS / parts);
  const writes = Array.from({ length: parts }, async (_, part) => {
    // Few places, so that they meet again.
    const first = part * span + random.below(8) * 256 + random.below(32);
    const count = 1 + random.below(WRITE_SECTORS_MAX);
    const [operation, value] = [next++, next++];
    const bytes = Buffer.alloc(count * SECTOR_BYTES);
    stamp(bytes, image.id, first, value);
    const synced = random.chance(0.1);
    note({ kind: 'change', operation, image: image.id, first, count, value, through: synced });
    await (synced ? through : file).write(bytes, 0, bytes.length, first * SECTOR_BYTES);
    note({ kind: 'answered', operation });
  });
  await Promise.all(writes);
}
