import type { TableRange } from '../../lib/database/environment.js';
import type { Random } from '../helpers/random.js';

/** Keys as strings of one character a byte, which compare as their bytes do. */
export function keyOf(bytes: Buffer): string {
  return bytes.toString('latin1');
}

/** One table of a simulated database: what is committed. */
export class SimulatedTable {
  readonly #values = new Map<string, Buffer>();
  #keys: string[] = [];

  get(key: string): Buffer | undefined {
    return this.#values.get(key);
  }

  /** Answers what was there before. */
  set(key: string, value: Buffer | undefined): Buffer | undefined {
    const before = this.#values.get(key);
    if (value === undefined) {
      if (before !== undefined) {
        this.#values.delete(key);
        this.#keys.splice(this.#position(key), 1);
      }
      return before;
    }
    if (before === undefined) this.#keys.splice(this.#position(key), 0, key);
    this.#values.set(key, value);
    return before;
  }

  /** The keys of a range, in its order. */
  range({ start, exclusiveStart, end, inclusiveEnd, reverse, limit = Number.POSITIVE_INFINITY }: TableRange): string[] {
    const startKey = start && keyOf(start);
    const endKey = end && keyOf(end);
    if (reverse) {
      const low = endKey === undefined ? 0 : inclusiveEnd ? this.#position(endKey) : this.#behind(endKey);
      const high =
        startKey === undefined ? this.#keys.length : exclusiveStart ? this.#position(startKey) : this.#behind(startKey);
      return this.#keys.slice(Math.max(low, high - limit), Math.max(low, high)).reverse();
    }
    const low = startKey === undefined ? 0 : exclusiveStart ? this.#behind(startKey) : this.#position(startKey);
    const high =
      endKey === undefined ? this.#keys.length : inclusiveEnd ? this.#behind(endKey) : this.#position(endKey);
    return this.#keys.slice(low, Math.max(low, Math.min(high, low + limit)));
  }

  copy(): SimulatedTable {
    const copy = new SimulatedTable();
    for (const [key, value] of this.#values) copy.#values.set(key, value);
    copy.#keys = [...this.#keys];
    return copy;
  }

  /** Of the first key that is not below `key`. */
  #position(key: string): number {
    let low = 0;
    let high = this.#keys.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#keys[middle]! < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #behind(key: string): number {
    const position = this.#position(key);
    return this.#keys[position] === key ? position + 1 : position;
  }
}

/** What a commit puts, or removes where there is no value. */
export interface TableChange {
  readonly table: string;
  readonly key: string;
  readonly value: Buffer | undefined;
}

/**
 * A database of a simulated device, with LMDB's promise: a power cut takes it back to the last commit that was synced,
 * or to any later one, and never to a part of one.
 */
export class SimulatedDatabase {
  readonly kind = 'database';
  readonly inode: number;
  readonly #tables = new Map<string, SimulatedTable>();
  /** How to take back each commit that is not durable, the oldest first. */
  #undo: TableChange[][] = [];
  /** Number of the last commit, and of the last that is durable. */
  committed = 0;
  durable = 0;

  constructor(inode: number) {
    this.inode = inode;
  }

  table(name: string): SimulatedTable {
    let table = this.#tables.get(name);
    if (!table) {
      table = new SimulatedTable();
      this.#tables.set(name, table);
    }
    return table;
  }

  commit(changes: readonly TableChange[]): void {
    const undo: TableChange[] = [];
    for (const { table, key, value } of changes) {
      undo.push({ table, key, value: this.table(table).set(key, value) });
    }
    this.#undo.push(undo);
    this.committed++;
  }

  /** Commits up to this number are on disk. */
  synced(number: number): void {
    if (number <= this.durable) return;
    this.#undo.splice(0, number - this.durable);
    this.durable = number;
  }

  powerCut(random: Random): void {
    const lost = this.committed - this.durable;
    const choice = random.below(3);
    const keep = choice === 0 ? 0 : choice === 1 ? lost : random.below(lost + 1);
    while (this.#undo.length > keep) {
      for (const { table, key, value } of this.#undo.pop()!.reverse()) this.table(table).set(key, value);
      this.committed--;
    }
    this.#undo = [];
    this.durable = this.committed;
  }

  copy(): SimulatedDatabase {
    const copy = new SimulatedDatabase(this.inode);
    for (const [name, table] of this.#tables) copy.#tables.set(name, table.copy());
    return copy;
  }
}
