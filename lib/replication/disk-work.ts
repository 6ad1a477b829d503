import { listGroup } from '../store/group-list.js';
import { type Disk, OBJECT_BYTES } from '../store/index.js';
import type { Place } from '../store/object-create.js';
import { cutObject, discardEntry, discardObject } from '../store/object-discard.js';
import { equalObject } from '../store/object-equal.js';
import { describeBlocks, describeIndex, readBlocks } from '../store/object-pull.js';
import { layerEnd, nextIndexes, readObject, seekObject } from '../store/object-read.js';
import { needsRoom, type RoomUse } from '../store/object-room.js';
import { allocateObject, tryWrite, writeObject } from '../store/object-write.js';
import { activeOfLayers, activeOfVdi, retireObjects } from '../store/retirement.js';
import { StoreError } from '../store/store-error.js';
import type { WriteOrder } from '../store/write-order.js';
import type { RingDoubts } from '../store/write-ring.js';
import { type LayerRules, mergesKey } from './layer-rules.js';
import { mergeAt } from './layer-work.js';
import type { Outcome } from './member.js';
import type {
  ActiveName,
  Change,
  ChangeRequest,
  DescribeAnswer,
  DescribeRequest,
  EndRequest,
  Equalizing,
  FenceAnswer,
  FencedDisk,
  FenceRequest,
  FetchAnswer,
  FetchRequest,
  FlushRequest,
  ListAnswer,
  ListRequest,
  MemberRequest,
  NextRequest,
  ReadRequest,
  RetireRequest,
  SeekRequest,
} from './messages.js';
import { type Inspected, OTHER_ERA } from './messages.js';
import type { ReplicaDisk } from './replica-disk.js';

const OBJECT_END = Number.MAX_SAFE_INTEGER;

/** Carries out what a member has admitted, on this host's disks. */
export class DiskWork {
  readonly #disks: ReadonlyMap<number, ReplicaDisk>;
  readonly #layers: LayerRules;
  readonly #incarnation: () => number;

  constructor(disks: ReadonlyMap<number, ReplicaDisk>, layers: LayerRules, incarnation: () => number) {
    this.#disks = disks;
    this.#layers = layers;
    this.#incarnation = incarnation;
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
        return this.#flush(request);
      case 'retire':
        return this.#retire(request);
      case 'fence':
        return { body: this.#doubtsOf(request) };
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
    const place = { pg: request.pg, family: chain.family, index };
    if (change.kind === 'room') return { body: await this.#needsRoom(request, change.use) };
    if (change.kind === 'inspect') return { body: await this.#inspect(request, change) };
    if (change.kind === 'extract') return this.#extract(disk, place, change);
    const order: WriteOrder = { vdi, generation, sequence };
    noteChange(disk, order, request);
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
      if (change.kind === 'equal') {
        // The names of merges alone would not do: one that was not known then may be over and forgotten.
        const inspected = change.eras.find((each) => each.disk === request.disk);
        if (inspected?.era !== this.#era(chain.family)) return { body: OTHER_ERA };
        await mergeAt(disk, place, this.#layers.merging(chain.family));
        // Nobody sees it any more, whoever may have it still.
        if (this.#layers.doomed(chain.family).includes(change.layer)) return {};
      }
      await apply(disk, place, request, change, since, order);
    } finally {
      lock.release();
    }
    return {};
  }

  /** An earlier worker may have heard of something else in between. */
  #era(family: number): string {
    return `${this.#incarnation()}.${this.#layers.era(family)}`;
  }

  async #needsRoom({ disk: number, pg, chain, index }: ChangeRequest, use: RoomUse): Promise<boolean> {
    const { disk, locks } = this.#disk(number);
    const lock = await locks.exclusive(chain.family, index);
    try {
      return await needsRoom(disk, { pg, family: chain.family, index }, chain.layers, use);
    } finally {
      lock.release();
    }
  }

  async #inspect(
    { disk: number, pg, chain, index }: ChangeRequest,
    { layer, blocks }: Extract<Change, { kind: 'inspect' }>,
  ): Promise<Inspected> {
    const { disk, locks } = this.#disk(number);
    const lock = await locks.exclusive(chain.family, index);
    try {
      // What one copy has done with a layer, and another not yet, is no difference.
      const merging = this.#layers.merging(chain.family);
      const era = this.#era(chain.family);
      const place = { pg, family: chain.family, index };
      await mergeAt(disk, place, merging);
      return { merges: mergesKey(merging), era, layer: await describeBlocks(disk, place, layer, blocks) };
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

  async #flush({ disk: number, vdi, generation, done, olderDone, chain }: FlushRequest): Promise<Outcome> {
    const { disk } = this.#disk(number);
    disk.ring?.tell(vdi, { generation, below: done, older: olderDone });
    await disk.flush(chain.family, chain.layers);
    return {};
  }

  async #retire(request: RetireRequest): Promise<Outcome> {
    const { disk: number, copies, vdi, generation, done, olderDone, objects } = request;
    const { disk, recovery } = this.#disk(number);
    disk.ring?.tell(vdi, { generation, below: done, older: olderDone });
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

  #doubtsOf({ vdi, generation, chain }: FenceRequest): FenceAnswer {
    const disks: FencedDisk[] = [];
    for (const { disk } of this.#disks.values()) {
      if (disk.failed) continue;
      const layers = chain.layers.map(({ layer }) => layer);
      const found = new Map<string, ActiveName>();
      for (const entry of [...activeOfVdi(disk, vdi), ...activeOfLayers(disk, chain.family, layers)]) {
        const { family, layer, index } = entry;
        found.set(`${family}/${layer}/${index}`, { family, layer, index, isOthers: entry.vdi !== vdi });
      }
      disks.push({ disk: disk.number, active: [...found.values()], ring: ringOf(disk, vdi, generation) });
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
    // What is noted by now was applied, as running changes have ended; what is noted later is not in the description.
    const doubts = doubtsAbout(disk, family, index);
    const lock = await locks.exclusive(family, index);
    try {
      const description = await describeIndex(disk, { pg, family, index });
      return { body: { description, doubts } satisfies DescribeAnswer };
    } finally {
      lock.release();
    }
  }

  async #fetch({ disk: number, pg, family, index, layer, serial, ranges }: FetchRequest): Promise<Outcome> {
    const { disk } = this.#disk(number);
    const blocks: Buffer[] = [];
    for (const range of ranges) {
      const block = await readBlocks(disk, { pg, family, index }, { ...range, layer, serial });
      if (!block) return { refusal: { reason: 'changed' } };
      blocks.push(block);
    }
    // After they were read: whatever they have of changes that are under way was noted before.
    return { body: { blocks, doubts: doubtsAbout(disk, family, index) } satisfies FetchAnswer };
  }

  #disk(number: number): ReplicaDisk {
    const disk = this.#disks.get(number);
    if (!disk) throw new StoreError('CLOSED', `disk ${number} was taken away while it was in use`);
    return disk;
  }
}

/** Before a change is applied: what of the object it may make different from other copies, until it is done there too. */
function noteChange(disk: Disk, order: WriteOrder, { chain, index, change, done, olderDone }: ChangeRequest): void {
  const { ring } = disk;
  if (!ring) return;
  let [offset, length] = [0, OBJECT_BYTES];
  if (change.kind === 'write') [offset, length] = [change.offset, change.data.length];
  else if (change.kind === 'discard') [offset, length] = [change.offset, change.length];
  else if (change.kind === 'cut') offset = change.length;
  else if (change.kind === 'equal') ({ offset, length } = change.within);
  // Of no bytes at all, it may make an object all the same.
  length = Math.max(1, Math.min(length, OBJECT_BYTES - offset));
  ring.put(order, chain.family, index, offset, length, done, olderDone);
}

function ringOf(disk: Disk, vdi: number, generation: number): FencedDisk['ring'] {
  if (!disk.ring) return { bootId: '', complete: false, ranges: [] };
  const { ranges, complete } = disk.ring.above(vdi);
  const older = ranges.filter((range) => range.generation < generation);
  return {
    bootId: disk.ring.bootId,
    complete,
    ranges: older.map(({ family, index, offset, length }) => ({ family, index, offset, length })),
  };
}

function doubtsAbout(disk: Disk, family: number, index: number): RingDoubts {
  return disk.ring?.doubts(family, index) ?? { ranges: [], incomplete: [], lost: true };
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
  return equalObject(disk, place, layer, { end: shape.end, blocks }, epoch, order);
}
