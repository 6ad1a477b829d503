import { listGroup } from '../store/group-list.js';
import type { Disk } from '../store/index.js';
import type { Place } from '../store/object-create.js';
import { cutObject, discardEntry, discardObject } from '../store/object-discard.js';
import { type DescribedLayer, describeIndex, readBlocks } from '../store/object-pull.js';
import { layerEnd, nextIndexes, readObject, seekObject } from '../store/object-read.js';
import { allocateObject, extendObject, tryWrite, writeObject } from '../store/object-write.js';
import { activeOfLayers, activeOfVdi, retireObjects } from '../store/retirement.js';
import type { WriteOrder } from '../store/write-order.js';
import type { Outcome } from './member.js';
import type {
  Change,
  ChangeRequest,
  DescribeRequest,
  EndRequest,
  Equalizing,
  FenceAnswer,
  FenceRequest,
  FetchRequest,
  ListAnswer,
  ListRequest,
  MemberRequest,
  NextRequest,
  ReadRequest,
  RetireRequest,
  SeekRequest,
} from './messages.js';
import type { ReplicaDisk } from './replica-disk.js';

const OBJECT_END = Number.MAX_SAFE_INTEGER;

/** Carries out what a member has admitted, on this host's disks. */
export class DiskWork {
  readonly #disks: ReadonlyMap<number, ReplicaDisk>;

  constructor(disks: ReadonlyMap<number, ReplicaDisk>) {
    this.#disks = disks;
  }

  /** Rejects with a StoreError: EIO and DISK_FAILED mean that the disk has to leave the map. */
  async execute(request: MemberRequest): Promise<Outcome> {
    switch (request.type) {
      case 'change':
        return this.#change(request);
      case 'read':
        return this.#read(request);
      case 'seek':
        return { body: await this.#seek(request) };
      case 'next':
        return { body: await this.#next(request) };
      case 'end':
        return { body: await this.#end(request) };
      case 'flush':
        await this.#disk(request.disk).disk.flush(request.chain.family, request.chain.layers);
        return {};
      case 'retire':
        return this.#retire(request);
      case 'fence':
        return { body: this.#activeOf(request) };
      case 'list':
        return { body: await this.#list(request) };
      case 'describe':
        return this.#describe(request);
      case 'fetch':
        return this.#fetch(request);
    }
  }

  async #change(request: ChangeRequest): Promise<Outcome> {
    const { disk, locks } = this.#disk(request.disk);
    const { chain, index, change, since, vdi, generation, sequence } = request;
    const order: WriteOrder = { vdi, generation, sequence };
    const place = { pg: request.pg, family: chain.family, index };
    if (change.kind === 'inspect') return { body: await this.#inspect(request, change.layers) };
    if (change.kind === 'extract') return this.#extract(disk, place, change);
    if (change.kind === 'write') {
      const lock = locks.tryShared(chain.family, index);
      if (lock) {
        const { offset, data } = change;
        const written = tryWrite(disk, chain.family, index, chain.layers[0]!.layer, offset, data, lock, order);
        if (written) {
          await written;
          return {};
        }
        lock.release();
      }
    }
    const lock = await locks.exclusive(chain.family, index);
    try {
      await apply(disk, place, request, change, since, order);
    } finally {
      lock.release();
    }
    return {};
  }

  async #inspect(
    { disk: number, pg, chain, index }: ChangeRequest,
    layers: readonly number[],
  ): Promise<DescribedLayer[]> {
    const { disk, locks } = this.#disk(number);
    const lock = await locks.exclusive(chain.family, index);
    try {
      const described = await describeIndex(disk, { pg, family: chain.family, index });
      return described.layers.filter(({ layer }) => layers.includes(layer));
    } finally {
      lock.release();
    }
  }

  async #extract(disk: Disk, place: Place, { layer, ranges }: Extract<Change, { kind: 'extract' }>): Promise<Outcome> {
    const blocks: { offset: number; data: Buffer }[] = [];
    for (const { offset, length } of ranges) {
      const data = Buffer.alloc(length);
      await readObject(disk, place.pg, place.family, place.index, [{ layer, limit: OBJECT_END }], offset, data);
      blocks.push({ offset, data });
    }
    return { body: blocks };
  }

  async #read({ disk, pg, chain, index, offset, length }: ReadRequest): Promise<Outcome> {
    const target = Buffer.allocUnsafe(length);
    await readObject(this.#disk(disk).disk, pg, chain.family, index, chain.layers, offset, target);
    return { body: target };
  }

  #seek({ disk, pg, chain, index, offset, data }: SeekRequest): Promise<number | null> {
    return seekObject(this.#disk(disk).disk, { pg, family: chain.family, index }, chain.layers, offset, data);
  }

  #next({ disk: number, copies, pgs, chain, from, to, layers, count }: NextRequest): Promise<number[]> {
    const { disk } = this.#disk(number);
    const isAsked = this.#isIn(number, copies, chain.family, pgs);
    return nextIndexes(disk, chain.family, new Set(layers), { from, to, count, isAsked });
  }

  #end({ disk: number, copies, pgs, chain, bound }: EndRequest): Promise<number> {
    const { disk, layouts } = this.#disk(number);
    const { groupOf } = layouts(copies);
    const { family, layers } = chain;
    const isAsked = this.#isIn(number, copies, family, pgs);
    return layerEnd(disk, (index) => groupOf(family, index), family, layers[0]!.layer, { bound, isAsked });
  }

  #isIn(disk: number, copies: number, family: number, pgs: readonly number[]): (index: number) => boolean {
    const { groupOf } = this.#disk(disk).layouts(copies);
    const asked = new Set(pgs);
    return (index) => asked.has(groupOf(family, index));
  }

  async #retire({ disk: number, copies, generation, objects }: RetireRequest): Promise<Outcome> {
    const { disk, recovery } = this.#disk(number);
    // What is still to be pulled may differ, whatever the writer knows.
    const settled = objects.filter(({ family, pg, index }) => !recovery.isToDo({ copies, pg }, family, index));
    await retireObjects(
      disk,
      settled.map(({ family, index, layer, sequence }) =>
        sequence < 0
          ? { family, index, layer, generation: generation - 1, sequence: OBJECT_END }
          : { family, index, layer, generation, sequence },
      ),
    );
    return {};
  }

  #activeOf({ vdi, chain }: FenceRequest): FenceAnswer {
    const disks: FenceAnswer['disks'][number][] = [];
    for (const { disk } of this.#disks.values()) {
      if (disk.failed) continue;
      const layers = chain.layers.map(({ layer }) => layer);
      const found = new Map<string, { family: number; layer: number; index: number }>();
      for (const entry of [...activeOfVdi(disk, vdi), ...activeOfLayers(disk, chain.family, layers)]) {
        const { family, layer, index } = entry;
        found.set(`${family}/${layer}/${index}`, { family, layer, index });
      }
      disks.push({ disk: disk.number, active: [...found.values()] });
    }
    return { disks };
  }

  /** One batch: the asker goes on after its last entry. */
  async #list({ disk: number, copies, pg, after }: ListRequest): Promise<ListAnswer> {
    const { disk, layouts } = this.#disk(number);
    for await (const entries of listGroup(disk, layouts(copies), pg, after)) return { entries, complete: false };
    return { entries: [], complete: true };
  }

  async #describe({ disk: number, pg, family, index }: DescribeRequest): Promise<Outcome> {
    const { disk, locks } = this.#disk(number);
    const lock = await locks.exclusive(family, index);
    try {
      return { body: await describeIndex(disk, { pg, family, index }) };
    } finally {
      lock.release();
    }
  }

  async #fetch({ disk: number, pg, family, index, layer, serial, ranges }: FetchRequest): Promise<Outcome> {
    const blocks: Buffer[] = [];
    for (const range of ranges) {
      const block = await readBlocks(this.#disk(number).disk, { pg, family, index }, { ...range, layer, serial });
      if (!block) return { refusal: { reason: 'changed' } };
      blocks.push(block);
    }
    return { body: blocks };
  }

  #disk(number: number): ReplicaDisk {
    const disk = this.#disks.get(number);
    if (!disk) throw new Error(`disk ${number} was closed while it was in use`);
    return disk;
  }
}

async function apply(
  disk: Disk,
  place: Place,
  { chain }: ChangeRequest,
  change: Change,
  epoch: number,
  order: WriteOrder,
): Promise<void> {
  const { layers } = chain;
  switch (change.kind) {
    case 'write':
      return writeObject(disk, place, layers, change.offset, change.data, epoch, order);
    case 'discard':
      return discardObject(disk, place, layers, change.offset, change.length, epoch, order);
    case 'allocate':
      return allocateObject(disk, place, layers, change.end, epoch, order);
    case 'cut':
      if (change.length > 0) return cutObject(disk, place, layers, change.length, epoch, order);
      return discardEntry(disk, place, layers[0]!.layer, epoch, order);
    case 'equal':
      return equalize(disk, place, layers, change, epoch, order);
    default:
      throw new Error(`a change of kind ${change.kind} changes nothing`);
  }
}

/** What lies below the layer does not matter: the blocks hold all that may differ. */
async function equalize(
  disk: Disk,
  place: Place,
  layers: ChangeRequest['chain']['layers'],
  { layer, shape, blocks }: Equalizing,
  epoch: number,
  order: WriteOrder,
): Promise<void> {
  if (shape.kind === 'nothing') return discardEntry(disk, place, layer, epoch, order);
  if (shape.kind === 'hole') {
    const below = layers.slice(layers.findIndex((each) => each.layer === layer));
    return discardObject(disk, place, below, 0, OBJECT_END, epoch, order);
  }
  const alone = [{ layer, limit: 0 }];
  if (blocks.length === 0) await writeObject(disk, place, alone, 0, Buffer.alloc(0), epoch, order);
  for (const { offset, data } of blocks) await writeObject(disk, place, alone, offset, data, epoch, order);
  await cutObject(disk, place, alone, shape.end, epoch, order);
  await extendObject(disk, place, alone, shape.end, epoch, order);
}
