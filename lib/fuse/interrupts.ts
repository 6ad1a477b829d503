import type { InterruptSignal } from './operations.js';

/** The signal of one request; the kernel may ask to give the request up (INTERRUPT). */
export class Interrupt implements InterruptSignal {
  aborted = false;
  #listener: (() => void) | null = null;

  onAbort(listener: () => void): void {
    this.#listener = listener;
    if (this.aborted) listener();
  }

  abort(): void {
    if (this.aborted) return;
    this.aborted = true;
    this.#listener?.();
  }
}

/** The kernel may send INTERRUPT before we have read the request that it names; so many are remembered. */
const EARLY_MAX = 128;

/** Requests in flight that can be interrupted, by their unique number (without the resend bit). */
export class Interrupts {
  readonly #signals = new Map<bigint, Interrupt>();
  readonly #early = new Set<bigint>();

  begin(unique: bigint): Interrupt {
    const signal = new Interrupt();
    this.#signals.set(unique, signal);
    if (this.#early.delete(unique)) signal.abort();
    return signal;
  }

  end(unique: bigint): void {
    this.#signals.delete(unique);
  }

  interrupt(unique: bigint): void {
    const signal = this.#signals.get(unique);
    if (signal) {
      signal.abort();
      return;
    }
    this.#early.add(unique);
    if (this.#early.size > EARLY_MAX) {
      for (const oldest of this.#early) {
        this.#early.delete(oldest);
        break;
      }
    }
  }

  get size(): number {
    return this.#signals.size;
  }
}
