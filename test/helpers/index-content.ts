import { OBJECT } from '../../lib/store/entry.js';
import { modifiedOf } from '../../lib/store/group-list.js';
import type { Disk } from '../../lib/store/index.js';
import type { Place } from '../../lib/store/object-create.js';
import { discardEntry, discardObject } from '../../lib/store/object-discard.js';
import { writeObject } from '../../lib/store/object-write.js';
import type { Random } from './random.js';

const BLOCK = 4096;
/** Most writes go to the start of an object, so that they meet. */
const SPANS = [16 * BLOCK, 256 * BLOCK, 1024 * BLOCK];

/** What a disk has of one layer of an index. */
export interface LayerContent {
  layer: number;
  kind: number;
  modified: number;
  end: number;
  active: boolean;
  bytes: string;
}

/** All that a disk has of an index, its bytes as text that is short and the same only for the same bytes. */
export async function contentOf(disk: Disk, place: Place): Promise<LayerContent[]> {
  const { pg, family, index } = place;
  const content: LayerContent[] = [];
  for (const { layer, kind, modified, end, serial } of disk.index.scan(family, index, index + 1, 1000)) {
    let bytes = '';
    if (kind === OBJECT) {
      const file = (await disk.files.acquire(pg, family, index, layer, serial))!;
      try {
        const { size } = await disk.io.stat(file.fd);
        const target = Buffer.alloc(size);
        const filled = await disk.io.read(file.fd, target, size, 0);
        bytes = describe(target.subarray(0, filled));
      } finally {
        disk.files.release(file);
      }
    }
    const active = disk.layers.get(family, layer)?.active.has(index) ?? false;
    if (active !== disk.index.isActive(family, index, layer)) throw new Error('the log and its memory differ');
    content.push({ layer, kind, modified: modifiedOf(disk, family, index, layer, modified), end, active, bytes });
  }
  return content;
}

/** Length, and runs of sectors by their first byte and a sum. */
function describe(bytes: Buffer): string {
  let text = `${bytes.length}:`;
  let run = '';
  let count = 0;
  for (let at = 0; at < bytes.length; at += 512) {
    let sum = 0;
    const end = Math.min(at + 512, bytes.length);
    for (let i = at; i < end; i++) sum = (Math.imul(sum, 31) + bytes[i]!) >>> 0;
    const name = sum.toString(36);
    if (name === run) {
      count++;
      continue;
    }
    if (count > 0) text += ` ${run}*${count}`;
    [run, count] = [name, 1];
  }
  return `${text} ${run}*${count}`;
}

/** Random writes, holes and deletions in a few layers of an index, by image 9. */
export async function scribble(
  disk: Disk,
  place: Place,
  random: Random,
  { layers, changes, epoch }: { layers: number; changes: number; epoch: number },
): Promise<void> {
  for (let change = 0; change < changes; change++) {
    const layer = 1 + random.below(layers);
    const view = [{ layer, limit: random.chance(0.5) ? Number.MAX_SAFE_INTEGER : 0 }];
    if (layer > 1) view.push({ layer: layer - 1, limit: 0 });
    const order = { vdi: 9, generation: epoch, sequence: change + 1 };
    const chance = random.next();
    if (chance < 0.08) {
      await discardEntry(disk, place, layer, epoch, order);
    } else if (chance < 0.2) {
      const offset = random.chance(0.5) ? 0 : random.below(8) * BLOCK;
      const length = offset === 0 ? 1024 * BLOCK : BLOCK;
      await discardObject(disk, place, view, offset, length, epoch, order);
    } else {
      const offset = random.below(SPANS[random.below(SPANS.length)]!);
      const length = Math.min(1 + random.below(40 * BLOCK), 1024 * BLOCK - offset);
      await writeObject(disk, place, view, offset, Buffer.alloc(length, 1 + random.below(255)), epoch, order);
    }
  }
}
