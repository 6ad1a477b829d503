import { uptime } from 'node:os';
import type { Clock } from './clock.js';

/** The host's uptime is read again when the wall clock has gone so much more, or less, than the monotonic one. */
const DRIFT_MS = 20;
/** And at least so often: reading it takes longer than a guest's whole request does otherwise. */
const CHECK_MS = 1000;

/** Clocks that a host has. */
export interface HostTimes {
  /** Stands still while the host is suspended. Milliseconds. */
  monotonicMs(): number;
  /** May be set. */
  wallMs(): number;
  /** Goes on while the host is suspended. */
  uptimeMs(): number;
}

const SYSTEM: HostTimes = {
  monotonicMs: () => performance.now(),
  wallMs: () => Date.now(),
  uptimeMs: () => uptime() * 1000,
};

/**
 * The larger of what the monotonic clock and the host's uptime say has passed. A suspension shows at once: the wall clock,
 * which is cheap to read, has gone on while the monotonic one stood still.
 */
export class HostClock implements Clock {
  readonly #times: HostTimes;
  readonly #startMs: number;
  readonly #startUptimeMs: number;
  /** By how much the uptime has gone ahead. */
  #aheadMs = 0;
  #checkedMs: number;
  #wallAheadMs: number;

  constructor(times: HostTimes = SYSTEM) {
    this.#times = times;
    this.#startMs = times.monotonicMs();
    this.#startUptimeMs = times.uptimeMs();
    this.#checkedMs = this.#startMs;
    this.#wallAheadMs = times.wallMs() - this.#startMs;
  }

  elapsedMs(): number {
    const monotonicMs = this.#times.monotonicMs();
    const wallAheadMs = this.#times.wallMs() - monotonicMs;
    const drift = Math.abs(wallAheadMs - this.#wallAheadMs);
    if (drift > DRIFT_MS || monotonicMs - this.#checkedMs > CHECK_MS) this.#check(monotonicMs, wallAheadMs);
    return monotonicMs - this.#startMs + this.#aheadMs;
  }

  after(ms: number, callback: () => void): () => void {
    const timer = setTimeout(callback, ms);
    return () => clearTimeout(timer);
  }

  #check(monotonicMs: number, wallAheadMs: number): void {
    this.#checkedMs = monotonicMs;
    this.#wallAheadMs = wallAheadMs;
    const ahead = this.#times.uptimeMs() - this.#startUptimeMs - (monotonicMs - this.#startMs);
    if (ahead > this.#aheadMs) this.#aheadMs = ahead;
  }
}
