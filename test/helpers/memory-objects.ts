import { type Chain, OBJECT_BYTES } from '../../lib/replication/object-io.js';
import type { ObjectIO, ObjectRange } from './local-images.js';

const BLOCK_BYTES = 4096;

type Entry = Buffer | 'hole';

/**
 * Object I/O in memory, as plain as its contract: what images are tested over. `pause` holds writes in flight until the returned function is called.
 */
export class MemoryObjects implements ObjectIO {
  /** family/layer/index -> its bytes, as long as the highest byte written. */
  readonly entries = new Map<string, Entry>();
  flushes = 0;
  #paused: Promise<void> | null = null;

  pause(): () => void {
    let resume = () => {};
    this.#paused = new Promise((resolve) => {
      resume = () => {
        this.#paused = null;
        resolve();
      };
    });
    return resume;
  }

  #key(family: number, layer: number, index: number): string {
    return `${family}/${layer}/${index}`;
  }

  /** What shows at an index: bytes cut to what is visible, or null for zeros. */
  #resolve(chain: Chain, index: number): { data: Buffer; top: boolean } | null {
    let visible = Number.POSITIVE_INFINITY;
    for (const [i, { layer, limit }] of chain.layers.entries()) {
      const entry = this.entries.get(this.#key(chain.family, layer, index));
      const shown = Math.max(0, visible - index * OBJECT_BYTES);
      if (entry === 'hole' || shown === 0) return null;
      if (entry) return { data: entry.subarray(0, Math.min(entry.length, shown)), top: i === 0 };
      visible = Math.min(visible, limit);
    }
    return null;
  }

  async read(chain: Chain, index: number, offset: number, target: Buffer): Promise<void> {
    target.fill(0);
    this.#resolve(chain, index)?.data.copy(target, 0, offset, offset + target.length);
  }

  async write(chain: Chain, index: number, offset: number, source: Buffer): Promise<void> {
    const bytes = Buffer.from(source);
    if (this.#paused) await this.#paused;
    const old = this.#resolve(chain, index)?.data ?? Buffer.alloc(0);
    const data = Buffer.alloc(Math.max(old.length, offset + bytes.length));
    old.copy(data);
    bytes.copy(data, offset);
    this.entries.set(this.#key(chain.family, chain.layers[0]!.layer, index), data);
  }

  async discard(chain: Chain, range: ObjectRange): Promise<void> {
    const key = this.#key(chain.family, chain.layers[0]!.layer, range.index);
    const shown = this.#resolve(chain, range.index);
    if (!shown) return;
    if (range.offset === 0 && range.length >= shown.data.length) {
      this.entries.delete(key);
      if (this.#resolve(chain, range.index)) this.entries.set(key, 'hole');
      return;
    }
    const data = Buffer.from(shown.data);
    data.fill(0, range.offset, range.offset + range.length);
    this.entries.set(key, data);
  }

  async allocate(chain: Chain, index: number, end: number): Promise<void> {
    const data = this.#resolve(chain, index)?.data ?? Buffer.alloc(0);
    await this.write(chain, index, 0, Buffer.concat([data, Buffer.alloc(Math.max(0, end - data.length))]));
  }

  async seek(chain: Chain, index: number, offset: number, data: boolean): Promise<number | null> {
    const bytes = this.#resolve(chain, index)?.data;
    if (data) return bytes && bytes.length > offset ? offset : null;
    return bytes && bytes.length > offset ? (bytes.length < OBJECT_BYTES ? bytes.length : null) : offset;
  }

  async flush(): Promise<void> {
    this.flushes++;
  }

  async truncate(chain: Chain, size: number): Promise<void> {
    const prefix = `${chain.family}/${chain.layers[0]!.layer}/`;
    for (const [key, entry] of this.entries) {
      if (!key.startsWith(prefix)) continue;
      const left = size - Number(key.slice(prefix.length)) * OBJECT_BYTES;
      if (left <= 0) this.entries.delete(key);
      else if (entry !== 'hole' && entry.length > left) this.entries.set(key, entry.subarray(0, left));
    }
  }

  async end(chain: Chain, bound: number): Promise<number> {
    const prefix = `${chain.family}/${chain.layers[0]!.layer}/`;
    let end = 0;
    for (const [key, entry] of this.entries) {
      if (!key.startsWith(prefix) || entry === 'hole') continue;
      end = Math.max(end, Number(key.slice(prefix.length)) * OBJECT_BYTES + entry.length);
    }
    return Math.min(bound, end);
  }

  async next(chain: Chain, from: number, to: number): Promise<number | null> {
    let next: number | null = null;
    for (const key of this.entries.keys()) {
      const [family, layer, index] = key.split('/').map(Number);
      if (family !== chain.family || !chain.layers.some((each) => each.layer === layer)) continue;
      if (index! >= from && index! < to && (next === null || index! < next)) next = index!;
    }
    return next;
  }

  usage(family: number, layer: number): number {
    let blocks = 0;
    for (const [key, entry] of this.entries) {
      if (key.startsWith(`${family}/${layer}/`) && entry !== 'hole') blocks += Math.ceil(entry.length / BLOCK_BYTES);
    }
    return blocks * BLOCK_BYTES;
  }

  async deleteLayer(family: number, layer: number): Promise<void> {
    for (const key of this.entries.keys()) if (key.startsWith(`${family}/${layer}/`)) this.entries.delete(key);
  }

  async mergeLayer(family: number, layer: number, child: number, limit: number): Promise<void> {
    const prefix = `${family}/${layer}/`;
    for (const [key, entry] of [...this.entries]) {
      if (!key.startsWith(prefix)) continue;
      const index = Number(key.slice(prefix.length));
      const left = limit - index * OBJECT_BYTES;
      const target = this.#key(family, child, index);
      if (!this.entries.has(target) && left > 0) {
        this.entries.set(target, entry === 'hole' ? entry : entry.subarray(0, left));
      }
      this.entries.delete(key);
    }
  }
}
