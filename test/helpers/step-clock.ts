import type { Clock } from '../../lib/cluster/clock.js';

/** A clock that moves when it is told to, and lets what was promised happen in between. */
export class StepClock implements Clock {
  now = 0;
  readonly #timers = new Set<{ atMs: number; callback: () => void }>();

  elapsedMs(): number {
    return this.now;
  }

  after(ms: number, callback: () => void): () => void {
    const timer = { atMs: this.now + ms, callback };
    this.#timers.add(timer);
    return () => void this.#timers.delete(timer);
  }

  async pass(ms: number): Promise<void> {
    for (const end = this.now + ms; this.now < end; this.now += 100) {
      for (const timer of [...this.#timers].filter(({ atMs }) => atMs <= this.now)) {
        this.#timers.delete(timer);
        timer.callback();
      }
      await new Promise((wake) => setImmediate(wake));
    }
  }
}
