import type { Releasable } from '../store/object-write.js';

interface Waiter {
  exclusive: boolean;
  grant: () => void;
}

/** The lock of one index. It is held by any number of sharers or by one alone, and given in the order of asking. */
class IndexLock implements Releasable {
  readonly #row: Map<number, IndexLock>;
  readonly #index: number;
  readonly waiting: Waiter[] = [];
  sharers = 0;
  exclusive = false;

  constructor(row: Map<number, IndexLock>, index: number) {
    this.#row = row;
    this.#index = index;
  }

  release(): void {
    if (this.exclusive) this.exclusive = false;
    else this.sharers--;
    if (this.waiting.length > 0) this.#grant();
    if (this.sharers === 0 && !this.exclusive) this.#row.delete(this.#index);
  }

  #grant(): void {
    while (this.waiting.length > 0 && !this.exclusive) {
      const next = this.waiting[0]!;
      if (next.exclusive && this.sharers > 0) return;
      this.waiting.shift();
      if (next.exclusive) this.exclusive = true;
      else this.sharers++;
      next.grant();
    }
  }
}

/**
 * Locks by (family, index): shared by writes that change nothing but a file's content, exclusive for whatever changes
 * what the index has. Readers take none.
 */
export class IndexLocks {
  readonly #families = new Map<number, Map<number, IndexLock>>();

  /** The lock, shared, if it is to be had at once; the caller releases it. */
  tryShared(family: number, index: number): Releasable | null {
    const lock = this.#lock(family, index);
    if (lock.exclusive || lock.waiting.length > 0) return null;
    lock.sharers++;
    return lock;
  }

  /** The lock for the caller alone, which releases it. */
  async exclusive(family: number, index: number): Promise<Releasable> {
    const lock = this.#lock(family, index);
    if (lock.sharers === 0 && !lock.exclusive) {
      lock.exclusive = true;
      return lock;
    }
    await new Promise<void>((grant) => {
      lock.waiting.push({ exclusive: true, grant });
    });
    return lock;
  }

  /** Resolves when each lock of the family that is held now was released. */
  async released(family: number): Promise<void> {
    const held = [...(this.#families.get(family)?.keys() ?? [])];
    await Promise.all(held.map(async (index) => (await this.exclusive(family, index)).release()));
  }

  #lock(family: number, index: number): IndexLock {
    let row = this.#families.get(family);
    if (row === undefined) {
      row = new Map();
      this.#families.set(family, row);
    }
    let lock = row.get(index);
    if (lock === undefined) {
      lock = new IndexLock(row, index);
      row.set(index, lock);
    }
    return lock;
  }
}
