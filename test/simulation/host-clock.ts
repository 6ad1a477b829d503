import assert from 'node:assert/strict';
import type { Clock } from '../../lib/cluster/clock.js';
import type { ProcessScope } from './process-scope.js';
import type { Scheduler } from './scheduler.js';

/** How far a host's clock may be from the world's: so much of each second. */
export const CLOCK_ERROR_MAX = 0.01;
/** What is left of a timer below this is the rounding of doubles. */
const ROUNDING_MS = 1e-6;

/**
 * The clock of one host, which goes on while its processes come and go. It runs at a rate of its own; `step` puts it
 * forward against the world's; and while the host is suspended, the time passes but its timers stand still.
 */
export class HostClock {
  readonly #scheduler: Scheduler;
  readonly #rate: number;
  readonly #startMs: number;
  #steppedMs = 0;
  /** Time of the world during which the host was suspended, up to `#suspendedUntilMs`. */
  #suspendedMs = 0;
  #suspendedUntilMs = 0;

  /** @param startMs is what it shows when the world begins: hosts have been up for different times. */
  constructor(scheduler: Scheduler, { rate = 1, startMs = 0 }: { rate?: number; startMs?: number } = {}) {
    assert(rate >= 1 - CLOCK_ERROR_MAX && rate <= 1 + CLOCK_ERROR_MAX, 'a clock goes nearly right');
    this.#scheduler = scheduler;
    this.#rate = rate;
    this.#startMs = startMs;
  }

  elapsedMs(): number {
    return this.#startMs + this.#scheduler.nowMs * this.#rate + this.#steppedMs;
  }

  /** Puts the clock forward; timers come neither sooner nor later for it. */
  step(ms: number): void {
    assert(ms >= 0, 'time never goes back');
    this.#steppedMs += ms;
  }

  /** The host sleeps: timers do not count it, `elapsedMs` does. Its processes are to be paused by the caller. */
  suspendFor(ms: number): void {
    const { nowMs } = this.#scheduler;
    const from = Math.max(nowMs, this.#suspendedUntilMs);
    const until = Math.max(from, nowMs + ms);
    this.#suspendedMs += until - from;
    this.#suspendedUntilMs = until;
  }

  /** The clock as a process sees it: its timers die with it, and wait while it is paused. */
  of(scope: ProcessScope): Clock {
    return {
      elapsedMs: () => this.elapsedMs(),
      after: (ms, callback) => this.#after(scope, ms, callback),
    };
  }

  #after(scope: ProcessScope, ms: number, callback: () => void): () => void {
    const dueMs = this.#awakeMs() + Math.max(0, ms) / this.#rate;
    let cancel = () => {};
    const wait = () => {
      const restMs = dueMs - this.#awakeMs();
      if (restMs <= ROUNDING_MS) callback();
      else cancel = scope.timer(restMs, wait);
    };
    cancel = scope.timer(Math.max(0, ms) / this.#rate, wait);
    return () => cancel();
  }

  /** Time of the world that this host was awake, of which a sleep that goes on counts whole. */
  #awakeMs(): number {
    return this.#scheduler.nowMs - this.#suspendedMs;
  }
}
