import { HOLE, NO_END, NOTHING, OBJECT } from '../store/entry.js';
import { type DescribedLayer, PULL_BLOCK_BYTES, PULL_HASH_BYTES } from '../store/object-pull.js';
import { type ByteRange, type Equalizing, type Inspected, OTHER_ERA, type Shape } from './messages.js';
import { type Chain, OBJECT_BYTES } from './object-io.js';
import { blocksOf, type UnequalObject } from './unequal.js';
import type { Writer } from './writer.js';

/** Indexes that are made equal at the same time in the background. */
const PARALLEL = 4;

/** What is left to be made equal of one index. */
interface Left {
  /** By layer. */
  readonly objects: Map<number, UnequalObject>;
  /** Times that something was added. */
  additions: number;
}

/**
 * Makes equal what a fence has found that may differ: on demand before an index is used, and all of it in the background.
 * What one in-sync member has is written, as ordinary changes, to all of `acting`.
 */
export class Equalizer {
  readonly #writer: Writer;
  readonly #chain: () => Chain;
  readonly #pause: () => Promise<void>;
  readonly #left = new Map<number, Left>();
  readonly #running = new Map<number, Promise<void>>();
  /** Bytes of each copy that were looked at. */
  compared = 0;

  constructor(writer: Writer, objects: Iterable<UnequalObject>, chain: () => Chain, pause: () => Promise<void>) {
    this.#pause = pause;
    this.#writer = writer;
    this.#chain = chain;
    this.add(objects);
  }

  /** More of what may differ: of members that could not be asked before. */
  add(objects: Iterable<UnequalObject>): void {
    for (const object of objects) {
      const { family, layer, index, blocks } = object;
      const isUnequal = blocks === null || blocks.length > 0;
      this.#writer.inherit(family, layer, index, isUnequal);
      if (!isUnequal) continue;
      let left = this.#left.get(index);
      if (!left) {
        left = { objects: new Map(), additions: 0 };
        this.#left.set(index, left);
      }
      const known = left.objects.get(layer);
      left.objects.set(layer, known ? { ...object, blocks: joined(known.blocks, blocks) } : object);
      left.additions++;
    }
  }

  get isDone(): boolean {
    return this.#left.size === 0;
  }

  /** Whether copies of the index may still differ. */
  holds(index: number): boolean {
    return this.#left.has(index);
  }

  /** Resolves when the index is equal, or the writer was stopped. */
  async before(index: number): Promise<void> {
    if (!this.#left.has(index)) return;
    let running = this.#running.get(index);
    if (!running) {
      running = this.#equalize(index).finally(() => this.#running.delete(index));
      this.#running.set(index, running);
    }
    await running;
  }

  /** Resolves when all are equal, or the writer was stopped. */
  async all(): Promise<void> {
    const indexes = this.#left.keys();
    const work = async () => {
      for (const index of indexes) await this.before(index);
    };
    await Promise.all(Array.from({ length: PARALLEL }, work));
  }

  async #equalize(index: number): Promise<void> {
    const left = this.#left.get(index)!;
    for (;;) {
      // No change is begun here before it is equal; one that was, before it was known, would be undone.
      await this.#writer.idle(index);
      const since = this.#writer.since(index);
      const { additions } = left;
      let stopped = false;
      for (const object of left.objects.values()) {
        const chain = chainFor(object, this.#chain());
        const equal = await this.#differences(chain, object);
        if (equal === 'stopped') stopped = true;
        else if (equal && !(await this.#apply(chain, index, equal))) stopped = true;
        if (stopped) break;
      }
      if (this.#writer.stopped) return;
      // Started over if the members are others now.
      if (!stopped && left.additions === additions && this.#writer.since(index) === since) break;
    }
    this.#left.delete(index);
    for (const { layer } of left.objects.values()) this.#writer.equalized(layer, index);
  }

  /** False where it has to be found out anew what differs. */
  async #apply(chain: Chain, index: number, change: Equalizing): Promise<boolean> {
    const answers = await this.#writer.change(chain, index, change);
    if (!answers) return false;
    if (![...answers.values()].includes(OTHER_ERA)) return true;
    await this.#pause();
    return false;
  }

  /** What has to be written so that every copy is as the source's; null where they are equal. */
  async #differences(chain: Chain, { layer, index, blocks }: UnequalObject): Promise<Equalizing | null | 'stopped'> {
    this.compared += blocks ? blocks.reduce((sum, { length }) => sum + length, 0) : OBJECT_BYTES;
    const described = await this.#writer.look(chain, index, { kind: 'inspect', layer, blocks });
    if (!described) return 'stopped';
    const source = this.#writer.insync(index).find((disk) => described.has(disk));
    if (source === undefined) return 'stopped';
    const byDisk = new Map<number, DescribedLayer | null>();
    const inspected = [...described] as [number, Inspected][];
    const { merges } = inspected[0]![1];
    if (inspected.some(([, each]) => each.merges !== merges)) {
      // One has heard of a merge that another has not: the watch tells it soon.
      await this.#pause();
      return 'stopped';
    }
    for (const [disk, { layer: each }] of inspected) byDisk.set(disk, each);
    const eras = inspected.map(([disk, { era }]) => ({ disk, era }));
    const wanted = byDisk.get(source) ?? null;
    const others = [...byDisk.values()];
    const shape = shapeOf(wanted);
    // Made, or removed, by a change that not all have carried out: what shows from below is all through the object then.
    if (blocks && others.some((other) => shapeOf(other).kind !== shape.kind)) {
      return this.#differences(chain, { family: chain.family, layer, index, blocks: null });
    }
    const differing = wanted?.kind === OBJECT ? differingBlocks(wanted, others) : [];
    const within = blocks ? hullOf(blocks) : WHOLE;
    if (differing.length === 0 && others.every((other) => isSameShape(shapeOf(other), shape))) return null;
    if (differing.length === 0) return { kind: 'equal', eras, layer, shape, within, blocks: [] };
    const extracted = await this.#writer.look(chain, index, { kind: 'extract', layer, ranges: differing }, source);
    if (!extracted) return 'stopped';
    return { kind: 'equal', eras, layer, shape, within, blocks: extracted.get(source) as Equalizing['blocks'] };
  }
}

const WHOLE: ByteRange = { offset: 0, length: OBJECT_BYTES };

/** Of whole blocks, in their order. */
function hullOf(blocks: readonly ByteRange[]): ByteRange {
  const [first, last] = [blocks[0]!, blocks.at(-1)!];
  return { offset: first.offset, length: last.offset + last.length - first.offset };
}

function joined(one: UnequalObject['blocks'], other: UnequalObject['blocks']): UnequalObject['blocks'] {
  return one && other && blocksOf([...one, ...other]);
}

/** The layer, with what lies below it where the image's chain has it. */
function chainFor({ family, layer }: UnequalObject, chain: Chain): Chain {
  const at = chain.family === family ? chain.layers.findIndex((each) => each.layer === layer) : -1;
  return { family, layers: at >= 0 ? chain.layers.slice(at) : [{ layer, limit: 0 }] };
}

function shapeOf(layer: DescribedLayer | null): Shape {
  // An active object may have no entry: what was discarded.
  if (!layer || layer.kind === NOTHING) return { kind: 'nothing' };
  if (layer.kind === HOLE) return { kind: 'hole' };
  return { kind: 'object', end: layer.end === NO_END ? layer.length : layer.end };
}

function isSameShape(a: Shape, b: Shape): boolean {
  return a.kind === b.kind && (a.kind !== 'object' || a.end === (b as typeof a).end);
}

/** Blocks, of PULL_BLOCK_BYTES or up to the end, that are not the same everywhere. */
function differingBlocks(
  wanted: DescribedLayer,
  others: readonly (DescribedLayer | null)[],
): { offset: number; length: number }[] {
  const length = Math.max(wanted.length, ...others.map((other) => other?.length ?? 0));
  const blocks: { offset: number; length: number }[] = [];
  for (let offset = 0; offset < length; offset += PULL_BLOCK_BYTES) {
    const hash = hashAt(wanted, offset);
    // What another has beyond the end of the source's is cut off.
    if (offset >= wanted.length) break;
    if (others.every((other) => hashAt(other, offset).equals(hash))) continue;
    blocks.push({ offset, length: Math.min(PULL_BLOCK_BYTES, wanted.length - offset) });
  }
  return blocks;
}

const ZERO_HASH = Buffer.alloc(PULL_HASH_BYTES);
const UNKNOWN_HASH = Buffer.alloc(PULL_HASH_BYTES, 0xff);

function hashAt(layer: DescribedLayer | null, offset: number): Buffer {
  if (!layer || layer.kind !== OBJECT || offset >= layer.length) return ZERO_HASH;
  const at = (offset / PULL_BLOCK_BYTES) * PULL_HASH_BYTES;
  const hash = layer.hashes.subarray(at, at + PULL_HASH_BYTES);
  // Two that are not known are not known to be the same.
  return hash.equals(UNKNOWN_HASH) ? Buffer.from(`${layer.serial}`) : hash;
}
