import type { Coordination, KeyValue, Transaction, TransactionResult } from '../../lib/coordination/coordination.js';
import type { Random } from '../helpers/random.js';
import { within } from './network-conditions.js';
import type { ProcessScope } from './process-scope.js';
import type { Scheduler } from './scheduler.js';
import { StoreClient, StoreCounters, type StoreSide } from './store-client.js';
import { CALM_STORE, type StoreConditions } from './store-conditions.js';
import { type Change, StoreState } from './store-state.js';
import { StoreWatch, type WatchListener } from './store-watch.js';
import type { Trace } from './trace.js';

/** Requests that wait at a store without a majority; those beyond are lost. */
const WAITING_MAX = 10_000;

export interface StoreOptions {
  conditions?: StoreConditions;
  /** Changes are noted in it. */
  trace?: Trace;
  /** Keys whose changes are noted; all, where absent. */
  isNoted?(key: string): boolean;
}

/**
 * The coordination store of a simulated cluster: one truth, outside of all hosts, that survives everything, and a
 * client for each process. A request travels to it, is carried out there in one moment, and its answer travels back;
 * either may be lost or come late. A client that hears nothing gives up with `StoreUnavailable`: what it asked for may
 * have been carried out, or still be.
 */
export class SimulatedStore {
  readonly counters = new StoreCounters();
  /** May be exchanged at any time. */
  conditions: StoreConditions;
  readonly #scheduler: Scheduler;
  readonly #random: Random;
  readonly #trace: Trace | null;
  readonly #isNoted: (key: string) => boolean;
  readonly #state = new StoreState();
  readonly #watches = new Set<StoreWatch>();
  readonly #listeners: ((change: Change) => void)[] = [];
  readonly #cutOff = new Set<string>();
  #available = true;
  /** Requests that arrived while there was no majority, in order. */
  #waiting: (() => void)[] = [];

  constructor(scheduler: Scheduler, random: Random, options: StoreOptions = {}) {
    this.#scheduler = scheduler;
    this.#random = random;
    this.conditions = options.conditions ?? CALM_STORE;
    this.#trace = options.trace ?? null;
    this.#isNoted = options.isNoted ?? (() => true);
  }

  /** The store as a process of `host` reaches it. */
  client(host: string, scope: ProcessScope): Coordination {
    return new StoreClient(this.#sideOf(host, scope), scope);
  }

  /** What is true at this moment, whoever may know it; for checks. What is answered is not to be changed. */
  peek(key: string): KeyValue | null {
    return this.#state.get(key);
  }

  peekRange(prefix: string): KeyValue[] {
    return this.#state.range(prefix);
  }

  /** Changes something at once, as an administrator or the beginning of the world does. */
  transact(transaction: Transaction): TransactionResult {
    return this.#apply('world', transaction);
  }

  /** Calls `listener` in the moment of each change, before anybody knows of it; for checks. */
  onChange(listener: (change: Change) => void): void {
    this.#listeners.push(listener);
  }

  get available(): boolean {
    return this.#available;
  }

  /** Takes the majority away, or gives it back. */
  setAvailable(available: boolean): void {
    if (this.#available === available) return;
    this.#available = available;
    if (!available) return;
    for (const carryOut of this.#waiting.splice(0)) carryOut();
    this.#pumpWatches();
  }

  isReachable(host: string): boolean {
    return !this.#cutOff.has(host);
  }

  /** Cuts a host off from the store, or lets it reach the store again. */
  setReachable(host: string, reachable: boolean): void {
    if (!reachable) this.#cutOff.add(host);
    else if (this.#cutOff.delete(host)) this.#pumpWatches();
  }

  #sideOf(host: string, scope: ProcessScope): StoreSide {
    return {
      counters: this.counters,
      state: this.#state,
      timeoutMs: () => within(this.#random, this.conditions.timeoutMs),
      request: (carryOut, answered) => this.#request(host, scope, carryOut, answered),
      apply: (transaction) => this.#apply(host, transaction),
      watch: (prefix, listener) => this.#watch(host, scope, prefix, listener),
    };
  }

  /** Takes a request to the store, carries it out there, and takes what it answers back. */
  #request<Answer>(
    host: string,
    scope: ProcessScope,
    carryOut: () => Answer,
    answered: (answer: Answer) => void,
  ): void {
    const lost = this.#random.chance(this.conditions.requestLostChance) || this.#cutOff.has(host);
    if (lost) return;
    const serve = () => {
      const answer = carryOut();
      const answerLost = this.#random.chance(this.conditions.answerLostChance) || this.#cutOff.has(host);
      if (!answerLost) scope.arrival(this.#travelMs(), () => answered(answer));
    };
    // Once it is on its way, it goes on without the process that sent it.
    this.#scheduler.after(this.#travelMs(), () => {
      if (this.#cutOff.has(host)) return;
      if (this.#available) serve();
      else if (this.#random.chance(this.conditions.waitChance) && this.#waiting.length < WAITING_MAX) {
        this.#waiting.push(serve);
      }
    });
  }

  #travelMs(): number {
    const { slowChance, slowMs, travelMs } = this.conditions;
    return within(this.#random, this.#random.chance(slowChance) ? slowMs : travelMs);
  }

  #apply(host: string, transaction: Transaction): TransactionResult {
    const { result, change } = this.#state.apply(transaction);
    if (change !== null) this.#announce(host, change);
    return result;
  }

  #announce(host: string, change: Change): void {
    this.counters.changes++;
    const noted = this.#trace === null ? [] : change.events.filter(({ keyValue }) => this.#isNoted(keyValue.key));
    if (this.#trace !== null && noted.length > 0) {
      const what = noted.map(({ type, keyValue }) => `${type} ${keyValue.key}`).join(', ');
      this.#trace.note('store', `revision ${change.revision} by ${host}: ${what}`);
    }
    for (const listener of this.#listeners) listener(change);
    for (const watch of this.#watches) watch.add(change);
  }

  #watch(host: string, scope: ProcessScope, prefix: string, listener: WatchListener): () => void {
    const reach = {
      reachable: () => this.#available && !this.#cutOff.has(host),
      delayMs: () => {
        const { watchLateChance, watchLateMs, watchMs } = this.conditions;
        return within(this.#random, this.#random.chance(watchLateChance) ? watchLateMs : watchMs);
      },
      nowMs: () => this.#scheduler.nowMs,
    };
    const watch = new StoreWatch(reach, scope, prefix, listener);
    this.#watches.add(watch);
    const close = () => {
      watch.close();
      this.#watches.delete(watch);
    };
    scope.onKill(close);
    return close;
  }

  #pumpWatches(): void {
    for (const watch of this.#watches) watch.pump();
  }
}
