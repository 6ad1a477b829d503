import assert from 'node:assert/strict';
import type { Random } from '../helpers/random.js';
import type { Scheduler } from './scheduler.js';

/** A timer is the process's own; an arrival comes from elsewhere: a message, the answer of a disk or of the store. */
type Kind = 'timer' | 'arrival';

interface Held {
  kind: Kind;
  callback: () => void;
}

/**
 * One process of a simulated host. Whatever calls back into a process does so through its scope, so that nothing
 * reaches it once it was killed, and that nothing happens in it while it is stopped. What it waited for when it was
 * killed never comes: its promises stay unsettled.
 *
 * Code of a killed process may still be running, where the kill came from within it: whatever has effects outside
 * looks at `alive` first.
 */
export class ProcessScope {
  /** Such as `host 2, worker 5`. */
  readonly name: string;
  readonly #scheduler: Scheduler;
  readonly #random: Random;
  readonly #cancels = new Set<() => void>();
  readonly #deaths: (() => void)[] = [];
  #alive = true;
  #pausedUntilMs = Number.NEGATIVE_INFINITY;
  /** What came due while the process stood still, and after that until all of it has happened. */
  #held: Held[] = [];
  #resuming = false;

  constructor(scheduler: Scheduler, random: Random, name: string) {
    this.#scheduler = scheduler;
    this.#random = random;
    this.name = name;
  }

  get alive(): boolean {
    return this.#alive;
  }

  get paused(): boolean {
    return this.#scheduler.nowMs < this.#pausedUntilMs;
  }

  /** A timer of the process, in milliseconds of the world's time. Answers what cancels it. */
  timer(delayMs: number, callback: () => void): () => void {
    return this.#schedule('timer', this.#scheduler.nowMs + delayMs, callback);
  }

  /** Something from outside that reaches the process after `delayMs`. Arrivals keep their order. */
  arrival(delayMs: number, callback: () => void): () => void {
    return this.arrivalAt(this.#scheduler.nowMs + delayMs, callback);
  }

  arrivalAt(atMs: number, callback: () => void): () => void {
    return this.#schedule('arrival', atMs, callback);
  }

  /** Calls `callback` when the process is killed, in the order in which they were given. */
  onKill(callback: () => void): void {
    assert(this.#alive, 'it is not dead yet');
    this.#deaths.push(callback);
  }

  /** Ends the process here and now, as kill -9 does. Nothing where it is dead already. */
  kill(): void {
    if (!this.#alive) return;
    this.#alive = false;
    this.#held = [];
    for (const cancel of this.#cancels) cancel();
    this.#cancels.clear();
    for (const callback of this.#deaths.splice(0)) callback();
  }

  /** Stops the process for so long. What comes due meanwhile happens when it goes on. */
  pauseFor(ms: number): void {
    if (!this.#alive) return;
    this.#pausedUntilMs = Math.max(this.#pausedUntilMs, this.#scheduler.nowMs + ms);
    this.#resumeAfter(this.#pausedUntilMs - this.#scheduler.nowMs);
  }

  #schedule(kind: Kind, atMs: number, callback: () => void): () => void {
    if (!this.#alive) return () => {};
    const held: Held = { kind, callback };
    const unschedule = this.#scheduler.at(atMs, () => {
      this.#cancels.delete(unschedule);
      if (this.paused || this.#held.length > 0) this.#held.push(held);
      else callback();
    });
    this.#cancels.add(unschedule);
    return () => {
      unschedule();
      this.#cancels.delete(unschedule);
      held.callback = nothing;
    };
  }

  #resumeAfter(delayMs: number): void {
    this.#scheduler.after(delayMs, () => {
      if (!this.#alive || this.paused || this.#resuming) return;
      this.#mix();
      this.#goOn();
    });
  }

  /**
   * A process that was stopped finds timers and arrivals both due, and may see to either first: what it decides when
   * it goes on must not hang on a timer having told it that time is up.
   */
  #mix(): void {
    const timers = this.#held.filter((held) => held.kind === 'timer');
    const arrivals = this.#held.filter((held) => held.kind === 'arrival');
    this.#held = this.#random.chance(0.5) ? [...timers, ...arrivals] : [...arrivals, ...timers];
  }

  /** One after the other, each an event of its own; what comes due meanwhile waits its turn behind them. */
  #goOn(): void {
    this.#resuming = false;
    if (!this.#alive || this.paused) return;
    const next = this.#held[0];
    if (next === undefined) return;
    if (this.#held.length > 1) {
      this.#resuming = true;
      this.#scheduler.after(0, () => this.#goOn());
    }
    this.#held.shift();
    next.callback();
  }
}

function nothing(): void {}
