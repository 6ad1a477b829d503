import { HOLE, NO_END, NOTHING, OBJECT } from '../store/entry.js';
import { type DescribedLayer, PULL_BLOCK_BYTES, PULL_HASH_BYTES } from '../store/object-pull.js';
import type { Equalizing, Shape } from './messages.js';
import type { Chain } from './object-io.js';
import type { Writer } from './writer.js';

/** Indexes that are made equal at the same time in the background. */
const PARALLEL = 4;

/** One object that a fence has found active. */
export interface UnequalObject {
  readonly family: number;
  readonly layer: number;
  readonly index: number;
}

/**
 * Makes equal what a fence has found active: on demand before an index is used, and all of it in the background. What
 * one in-sync member has is written, as ordinary changes, to all of `acting`.
 */
export class Equalizer {
  readonly #writer: Writer;
  readonly #chain: () => Chain;
  /** By index, the objects that may differ there. */
  readonly #left = new Map<number, UnequalObject[]>();
  readonly #running = new Map<number, Promise<void>>();

  constructor(writer: Writer, objects: Iterable<UnequalObject>, chain: () => Chain) {
    this.#writer = writer;
    this.#chain = chain;
    this.add(objects);
  }

  /** More of what may differ: of members that could not be asked before. */
  add(objects: Iterable<UnequalObject>): void {
    for (const object of objects) {
      if (!this.#writer.inherit(object.family, object.layer, object.index)) continue;
      const others = this.#left.get(object.index);
      if (others) others.push(object);
      else this.#left.set(object.index, [object]);
    }
  }

  get isDone(): boolean {
    return this.#left.size === 0;
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
    const objects = this.#left.get(index)!;
    for (;;) {
      const since = this.#writer.since(index);
      let stopped = false;
      for (const object of objects) {
        const chain = chainFor(object, this.#chain());
        const equal = await this.#differences(chain, object);
        if (equal === 'stopped') stopped = true;
        else if (equal && !(await this.#writer.change(chain, index, equal))) stopped = true;
        if (stopped) break;
      }
      if (this.#writer.stopped) return;
      // Started over if the members are others now.
      if (!stopped && this.#writer.since(index) === since) break;
    }
    for (const { layer } of objects) this.#writer.equalized(layer, index);
    this.#left.delete(index);
  }

  /** What has to be written so that every copy is as the source's; null where they are equal. */
  async #differences(chain: Chain, { layer, index }: UnequalObject): Promise<Equalizing | null | 'stopped'> {
    const described = await this.#writer.look(chain, index, { kind: 'inspect', layers: [layer] });
    if (!described) return 'stopped';
    const source = this.#writer.insync(index).find((disk) => described.has(disk));
    if (source === undefined) return 'stopped';
    const byDisk = new Map<number, DescribedLayer | null>();
    for (const [disk, layers] of described) byDisk.set(disk, (layers as DescribedLayer[])[0] ?? null);
    const wanted = byDisk.get(source) ?? null;
    const others = [...byDisk.values()];
    const blocks = wanted?.kind === OBJECT ? differingBlocks(wanted, others) : [];
    const shape = shapeOf(wanted);
    if (blocks.length === 0 && others.every((other) => isSameShape(shapeOf(other), shape))) return null;
    if (blocks.length === 0) return { kind: 'equal', layer, shape, blocks: [] };
    const change = { kind: 'extract', layer, ranges: blocks } as const;
    const extracted = await this.#writer.look(chain, index, change, source);
    if (!extracted) return 'stopped';
    return { kind: 'equal', layer, shape, blocks: extracted.get(source) as Equalizing['blocks'] };
  }
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
