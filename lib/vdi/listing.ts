import type { Coordination, Watch } from '../coordination/coordination.js';
import { decodeRecord, KEY, type VdiRecord } from './records.js';

/**
 * The stored records of all images, kept in memory by a watch: a directory of thousands is listed in many calls, and
 * each would else read them all.
 */
export class Listing {
  readonly #coordination: Coordination;
  readonly #records = new Map<number, VdiRecord>();
  /** Numbers in ascending order; null when one came or went since. */
  #order: number[] | null = null;
  #watch: Watch | null = null;
  #filled: Promise<void> | null = null;

  constructor(coordination: Coordination) {
    this.#coordination = coordination;
  }

  /** Those with a name, in the order of their numbers, from the first above `after` on, at most `limit`. */
  async after(after: number, limit = Number.POSITIVE_INFINITY): Promise<VdiRecord[]> {
    this.#filled ??= this.#fill();
    await this.#filled;
    this.#order ??= [...this.#records.keys()].sort((a, b) => a - b);
    const found: VdiRecord[] = [];
    for (let at = firstAbove(this.#order, after); at < this.#order.length && found.length < limit; at++) {
      const record = this.#records.get(this.#order[at]!)!;
      if (isListed(record)) found.push(record);
    }
    return found;
  }

  /** The records of these images, whether or not they have a name, where there are any. */
  async of(ids: Iterable<number>): Promise<Map<number, VdiRecord>> {
    this.#filled ??= this.#fill();
    await this.#filled;
    const found = new Map<number, VdiRecord>();
    for (const id of ids) {
      const record = this.#records.get(id);
      if (record) found.set(id, record);
    }
    return found;
  }

  /** How many have a name. */
  async count(): Promise<number> {
    return (await this.after(0)).length;
  }

  close(): void {
    this.#watch?.close();
  }

  async #fill(): Promise<void> {
    // What the watch tells while the rest is read is newer than what is read.
    const told = new Set<number>();
    let filling = true;
    this.#watch = this.#coordination.watch(KEY.vdis, (events) => {
      for (const { type, keyValue } of events) {
        const id = Number(keyValue.key.slice(KEY.vdis.length));
        if (filling) told.add(id);
        if (type === 'delete') this.#remove(id);
        else this.#set(decodeRecord<VdiRecord>(keyValue.value));
      }
    });
    for (const { value } of await this.#coordination.range(KEY.vdis)) {
      const record = decodeRecord<VdiRecord>(value);
      if (!told.has(record.id)) this.#set(record);
    }
    filling = false;
  }

  #set(record: VdiRecord): void {
    if (!this.#records.has(record.id)) this.#order = null;
    this.#records.set(record.id, record);
  }

  #remove(id: number): void {
    if (this.#records.delete(id)) this.#order = null;
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
