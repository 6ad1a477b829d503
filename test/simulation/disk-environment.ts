import type { BinaryEnvironment, BinaryTable, TableRange } from '../../lib/database/environment.js';
import type { Random } from '../helpers/random.js';
import { keyOf, type SimulatedDatabase, type TableChange } from './disk-database.js';
import type { SimulatedDevice } from './disk-device.js';
import { systemError } from './disk-error.js';
import type { Operations } from './disk-operations.js';

/** Said of the room within the database's file, so that nobody makes more. */
const SPARE_PAGES = 100_000;
const PAGE_BYTES = 4096;
/** Grows to the longest value. */
const FAST_BYTES = 256;
const NO_PAGES = { treeBranchPageCount: 0, treeLeafPageCount: 0, overflowPages: 0 };
const STATS = { ...NO_PAGES, pageSize: PAGE_BYTES, lastPageNumber: SPARE_PAGES, free: NO_PAGES, root: NO_PAGES };

interface Commit {
  readonly changes: TableChange[];
  resolve(committed: boolean): void;
  reject(error: unknown): void;
}

interface Waiter {
  /** The commit that has to be durable. */
  readonly number: number;
  resolve(flushed: boolean): void;
  reject(error: unknown): void;
}

/**
 * A process's view of a simulated database. Commits are made one transaction after the other, each of all that were
 * asked for before it began; they are synced when somebody waits for that, which is the latest that LMDB may do it.
 */
export class SimulatedEnvironment implements BinaryEnvironment {
  readonly #database: SimulatedDatabase;
  readonly #device: SimulatedDevice;
  readonly #operations: Operations;
  #batch: TableChange[] | null = null;
  readonly #queue: Commit[] = [];
  #committing = false;
  #syncing = false;
  #waiting: Waiter[] = [];
  #failure: unknown = null;
  /** Of the device when it was opened. */
  readonly #attachment: number;
  /** Number that the last queued commit will have. */
  #queued: number;
  /** What is answered by `getBinaryFast` is overwritten by the next, as lmdb's is. */
  #fast = Buffer.allocUnsafeSlow(FAST_BYTES);

  constructor(database: SimulatedDatabase, device: SimulatedDevice, operations: Operations) {
    this.#database = database;
    this.#device = device;
    this.#operations = operations;
    this.#queued = database.committed;
    this.#attachment = device.attachment;
  }

  openDB(name: string): BinaryTable {
    const table = this.#database.table(name);
    const get = (key: Buffer): Buffer | undefined => table.get(keyOf(key));
    return {
      get: (key) => {
        const value = get(key);
        return value && Buffer.from(value);
      },
      getBinaryFast: (key) => {
        const value = get(key);
        if (value === undefined) return undefined;
        if (value.length > this.#fast.length) this.#fast = Buffer.allocUnsafeSlow(value.length);
        value.copy(this.#fast);
        return this.#fast.subarray(0, value.length);
      },
      getRange: (range: TableRange = {}) =>
        table.range(range).map((key) => ({ key: Buffer.from(key, 'latin1'), value: Buffer.from(table.get(key)!) })),
      getKeys: (range: TableRange = {}) => table.range(range).map((key) => Buffer.from(key, 'latin1')),
      put: (key, value) => this.#change({ table: name, key: keyOf(key), value: Buffer.from(value) }),
      remove: (key) => this.#change({ table: name, key: keyOf(key), value: undefined }),
      getStats: () => STATS,
    };
  }

  batch(change: () => void): Promise<boolean> {
    const outer = this.#batch;
    this.#batch = [];
    try {
      change();
      return this.#commit(this.#batch);
    } finally {
      this.#batch = outer;
    }
  }

  get flushed(): Promise<boolean> {
    if (this.#failure !== null) return Promise.reject(this.#failure);
    if (this.#database.durable >= this.#queued) return Promise.resolve(true);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ number: this.#queued, resolve, reject });
      this.#sync();
    });
  }

  /** What is queued is still committed, and no more. */
  async close(): Promise<void> {
    while (this.#queue.length > 0 || this.#committing) await this.batch(() => {});
  }

  /** The process has ended: of what was queued, some was committed. */
  kill(random: Random): void {
    if (this.#attachment !== this.#device.attachment) return;
    const made = random.below(this.#queue.length + 1);
    for (const { changes } of this.#queue.splice(0).slice(0, made)) this.#database.commit(changes);
  }

  #change(change: TableChange): Promise<boolean> {
    if (!this.#batch) return this.#commit([change]);
    this.#batch.push(change);
    return DONE;
  }

  #commit(changes: TableChange[]): Promise<boolean> {
    return new Promise((resolve, reject) => {
      if (!this.#operations.alive) return;
      if (this.#attachment !== this.#device.attachment) this.#failure ??= systemError('EIO', 'commit');
      if (this.#failure !== null) {
        reject(this.#failure);
        return;
      }
      this.#queued++;
      this.#queue.push({ changes, resolve, reject });
      if (!this.#committing) this.#transact();
    });
  }

  #transact(): void {
    this.#committing = true;
    const count = this.#queue.length;
    this.#operations.start({
      device: this.#device,
      work: 'commit',
      call: 'commit',
      run: () => {
        this.#committing = false;
        const commits = this.#queue.splice(0, count);
        for (const { changes } of commits) this.#database.commit(changes);
        if (this.#queue.length > 0) this.#transact();
        if (this.#waiting.length > 0) this.#sync();
        for (const { resolve } of commits) resolve(true);
      },
      fail: (error) => this.#fail(error),
    });
  }

  #sync(): void {
    if (this.#syncing || this.#failure !== null || this.#database.durable >= this.#database.committed) return;
    this.#syncing = true;
    const number = this.#database.committed;
    const finish = () => this.#database.synced(number);
    this.#operations.start({
      device: this.#device,
      work: 'sync',
      call: 'sync of the database',
      run: () => {
        this.#syncing = false;
        finish();
        const waiting = this.#waiting;
        this.#waiting = waiting.filter((waiter) => waiter.number > number);
        for (const waiter of waiting) if (waiter.number <= number) waiter.resolve(true);
        if (this.#waiting.length > 0) this.#sync();
      },
      fail: (error) => this.#fail(error),
      abandon: (random) => {
        if (random.chance(0.5)) finish();
      },
    });
  }

  /** Nothing is committed any more. */
  #fail(error: unknown): void {
    this.#failure = error;
    this.#committing = false;
    const [commits, waiting] = [this.#queue.splice(0), this.#waiting];
    this.#waiting = [];
    for (const { reject } of commits) reject(error);
    for (const { reject } of waiting) reject(error);
  }
}

const DONE = Promise.resolve(true);
