import { isUnavailable } from '../cluster/patient-coordination.js';
import type { Coordination, Transaction } from '../coordination/coordination.js';
import { OperationError } from '../fuse/errno.js';
import type { InterruptSignal } from '../fuse/operations.js';
import { decodeLocks, encodeLocks } from './lock-record.js';
import { type LockDecision, LockTable, type LockWish } from './lock-table.js';

/** Each loss of a race means that another host won it: so many in a row are a defect. */
const STORE_ATTEMPTS_MAX = 1000;

interface Wait {
  resolve: (decision: LockDecision) => void;
  reject: (error: unknown) => void;
}

/**
 * One file's locks: the stored ones of all hosts and the waiting requests of this one. Events are taken one after the
 * other, each on what is stored at that moment, and answered when what they change is stored.
 */
export class FileLocks {
  readonly #coordination: Coordination;
  readonly #key: string;
  readonly #waits = new Map<number, Wait>();
  #table = new LockTable();
  /** Revision of the stored locks that the table has; 0 where none are stored. */
  #modRevision = 0;
  #tail: Promise<unknown> = Promise.resolve();
  #pending = 0;
  #recheckPending = false;

  constructor(coordination: Coordination, key: string) {
    this.#coordination = coordination;
    this.#key = key;
  }

  /** Whether nothing here is worth remembering: it could be read again. */
  get isIdle(): boolean {
    return this.#pending === 0 && this.#waits.size === 0;
  }

  /** Whether somebody waits for a lock here. */
  get waits(): boolean {
    return this.#waits.size > 0;
  }

  /** Answers what `question` makes of the stored locks, which it must not change. */
  ask<T>(question: (table: LockTable) => T): Promise<T> {
    return this.#inTurn(async () => {
      await this.#refresh();
      return question(this.#table);
    });
  }

  /** Applies an event, stores what it changed and wakes those who can go on. */
  apply(event: (table: LockTable) => void): Promise<void> {
    return this.#inTurn(() => this.#apply(event, () => {}));
  }

  /**
   * Takes or gives back a lock. Throws OperationError EAGAIN, or if it may wait EDEADLK and EINTR, and ENOLCK when
   * there are too many.
   */
  async set(wish: LockWish, wait: boolean, signal: InterruptSignal): Promise<void> {
    let waiting: Promise<LockDecision> | null = null;
    const accept = (decision: LockDecision) => {
      if (decision.outcome === 'waiting') waiting = this.#wait(decision.waiter, signal);
    };
    const decision = await this.#inTurn(() => this.#apply((table) => table.set(wish, wait), accept));
    // The wait itself is not part of the turn, or nobody could end it.
    check(waiting === null ? decision : await waiting);
  }

  /**
   * Hosts whose locks stand in the way: of what is wished, or else of those who wait.
   */
  inTheWay(wish: LockWish | null): Promise<string[]> {
    return this.ask((table) => {
      const wishes = wish ? [wish] : table.wishes;
      return wishes.flatMap((each) => table.conflicts(each).map(({ host }) => host));
    });
  }

  /**
   * Drops the locks of these hosts by a transaction that contains `compare` and `success`. False where others were
   * faster. Rejects as the store does.
   */
  dropHosts(hosts: readonly string[], also: Required<Pick<Transaction, 'compare' | 'success'>>): Promise<boolean> {
    return this.#inTurn(async () => {
      await this.#refresh();
      const draft = this.#table.copy();
      for (const host of hosts) draft.dropHost(host);
      if (!(await this.#store(draft, also))) return false;
      this.#table = draft;
      return true;
    });
  }

  /** Forgets all locks of a file that is no more; who waits for one gets ESTALE. */
  remove(): Promise<void> {
    return this.#inTurn(async () => {
      await this.#coordination.transaction({ success: [{ delete: this.#key }] });
      this.#table = new LockTable();
      this.#modRevision = 0;
      this.#failWaits(new OperationError('ESTALE'));
    });
  }

  /** To be called when the stored locks changed, here or elsewhere. */
  recheck(): void {
    if (this.#waits.size === 0 || this.#recheckPending) return;
    this.#recheckPending = true;
    void this.#applyForWaits(() => {
      this.#recheckPending = false;
    });
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    this.#pending++;
    const done = this.#tail.then(work).finally(() => this.#pending--);
    // How it ended is for its own caller; the next one's turn comes in any case.
    this.#tail = done.then(
      () => {},
      () => {},
    );
    return done;
  }

  async #apply<T>(event: (table: LockTable) => T, accept: (result: T) => void): Promise<T> {
    for (let attempt = 0; attempt < STORE_ATTEMPTS_MAX; attempt++) {
      await this.#refresh();
      const draft = this.#table.copy();
      const result = event(draft);
      const woken = draft.wake();
      // Where the store did not answer, what was stored is found out: an owner's lock may be taken twice.
      if (draft.locks !== this.#table.locks && !(await this.#storePatiently(draft))) continue;
      this.#table = draft;
      accept(result);
      for (const { waiter, decision } of woken) this.#end(waiter, (wait) => wait.resolve(decision));
      return result;
    }
    throw new OperationError('EIO', `${this.#key} changed ${STORE_ATTEMPTS_MAX} times while a change was tried`);
  }

  /** Applies an event that no request asked for. Never throws: should it fail, those who wait are told. */
  #applyForWaits(event: (table: LockTable) => void): Promise<void> {
    return this.#inTurn(async () => {
      try {
        await this.#apply(event, () => {});
      } catch (error) {
        this.#recheckPending = false;
        this.#failWaits(error);
      }
    });
  }

  async #refresh(): Promise<void> {
    const found = await this.#coordination.get(this.#key);
    const modRevision = found?.modRevision ?? 0;
    if (modRevision === this.#modRevision) return;
    this.#table.replace(found === null ? [] : decodeLocks(this.#key, found.value));
    this.#modRevision = modRevision;
  }

  async #store(
    draft: LockTable,
    also: Required<Pick<Transaction, 'compare' | 'success'>> = { compare: [], success: [] },
  ): Promise<boolean> {
    const { locks } = draft;
    const { succeeded, revision } = await this.#coordination.transaction({
      compare: [{ key: this.#key, modRevision: this.#modRevision }, ...also.compare],
      success: [
        locks.length === 0 ? { delete: this.#key } : { put: this.#key, value: encodeLocks(locks) },
        ...also.success,
      ],
    });
    if (succeeded) this.#modRevision = locks.length === 0 ? 0 : revision;
    return succeeded;
  }

  async #storePatiently(draft: LockTable): Promise<boolean> {
    try {
      return await this.#store(draft);
    } catch (error) {
      if (isUnavailable(error)) return false;
      throw error;
    }
  }

  #wait(waiter: number, signal: InterruptSignal): Promise<LockDecision> {
    return new Promise((resolve, reject) => {
      this.#waits.set(waiter, { resolve, reject });
      const interrupt = () => void this.#interrupt(waiter);
      if (signal.aborted) interrupt();
      else signal.onAbort(interrupt);
    });
  }

  async #interrupt(waiter: number): Promise<void> {
    await this.#applyForWaits((table) => void table.cancel(waiter));
    // It has gone from here if it was granted first.
    this.#end(waiter, (wait) => wait.reject(new OperationError('EINTR')));
  }

  /** Only within a turn: a waiter that another turn's draft still had would be granted a lock that nobody has. */
  #failWaits(error: unknown): void {
    const table = this.#table.copy();
    for (const waiter of this.#waits.keys()) {
      table.cancel(waiter);
      this.#end(waiter, (wait) => wait.reject(error));
    }
    this.#table = table;
  }

  #end(waiter: number, end: (wait: Wait) => void): void {
    const wait = this.#waits.get(waiter);
    if (wait === undefined) return;
    this.#waits.delete(waiter);
    end(wait);
  }
}

/** Throws what a refusal is answered with. */
function check(decision: LockDecision): void {
  if (decision.outcome === 'conflict') throw new OperationError('EAGAIN');
  if (decision.outcome === 'deadlock') throw new OperationError('EDEADLK');
  if (decision.outcome === 'full') throw new OperationError('ENOLCK', 'too many locks on one file');
}
