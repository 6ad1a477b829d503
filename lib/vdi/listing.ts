import type { Coordination, Watch } from '../coordination/coordination.js';
import { decodeRecord, KEY, type VdiRecord } from './records.js';

interface Known {
  /** Null where the image is gone. */
  readonly record: VdiRecord | null;
  readonly revision: number;
}

/**
 * The stored records of all images, kept in memory by a watch: a directory of thousands is listed in many calls, and
 * each would else read them all. The first call reads them: what another host has made before is in the list.
 */
export class Listing {
  readonly #coordination: Coordination;
  readonly #known = new Map<number, Known>();
  /** Numbers in ascending order; null when one came or went since. */
  #order: number[] | null = null;
  /** Revision of the store that was read last. */
  #readAt = 0;
  #watch: Watch | null = null;

  constructor(coordination: Coordination) {
    this.#coordination = coordination;
  }

  /** Those with a name, in the order of their numbers, from the first above `after` on, at most `limit`. */
  async after(after: number, limit = Number.POSITIVE_INFINITY): Promise<VdiRecord[]> {
    if (after === 0 || !this.#watch) await this.#read();
    return this.#listed(after, limit);
  }

  /** The records of these images, whether or not they have a name, where there are any. */
  async of(ids: Iterable<number>): Promise<Map<number, VdiRecord>> {
    if (!this.#watch) await this.#read();
    const found = new Map<number, VdiRecord>();
    for (const id of ids) {
      const record = this.#known.get(id)?.record;
      if (record) found.set(id, record);
    }
    return found;
  }

  /** How many have a name, as far as this host has been told. */
  async count(): Promise<number> {
    if (!this.#watch) await this.#read();
    return this.#listed(0, Number.POSITIVE_INFINITY).length;
  }

  close(): void {
    this.#watch?.close();
  }

  #listed(after: number, limit: number): VdiRecord[] {
    this.#order ??= [...this.#known.keys()].sort((a, b) => a - b);
    const found: VdiRecord[] = [];
    for (let at = firstAbove(this.#order, after); at < this.#order.length && found.length < limit; at++) {
      const { record } = this.#known.get(this.#order[at]!)!;
      if (record && isListed(record)) found.push(record);
    }
    return found;
  }

  async #read(): Promise<void> {
    this.#watch ??= this.#coordination.watch(KEY.vdis, (events) => {
      for (const { type, keyValue } of events) {
        const id = Number(keyValue.key.slice(KEY.vdis.length));
        // What is older was read since.
        if (keyValue.modRevision <= this.#readAt) continue;
        this.#note(id, type === 'put' ? decodeRecord<VdiRecord>(keyValue.value) : null, keyValue.modRevision);
      }
    });
    const { responses, revision } = await this.#coordination.transaction({ success: [{ range: KEY.vdis }] });
    if (revision < this.#readAt) return;
    this.#readAt = revision;
    const found = new Map(
      responses[0]!.map(({ key, value, modRevision }) => {
        return [Number(key.slice(KEY.vdis.length)), { record: decodeRecord<VdiRecord>(value), revision: modRevision }];
      }),
    );
    for (const [id, known] of this.#known) {
      if (known.revision <= revision && !found.has(id)) this.#known.delete(id);
    }
    for (const [id, { record, revision: stored }] of found) this.#note(id, record, stored);
    this.#order = null;
  }

  /** What was read and what was watched may be told in either order. */
  #note(id: number, record: VdiRecord | null, revision: number): void {
    const known = this.#known.get(id);
    if (known && known.revision >= revision) return;
    this.#known.set(id, { record, revision });
    if (!known) this.#order = null;
  }
}

function isListed({ unlinked, importing, snapshotOf }: VdiRecord): boolean {
  return !unlinked && !importing && snapshotOf === undefined;
}

/** Position of the first number above `bound` in an ascending list. */
function firstAbove(numbers: readonly number[], bound: number): number {
  let [low, high] = [0, numbers.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (numbers[middle]! > bound) high = middle;
    else low = middle + 1;
  }
  return low;
}
