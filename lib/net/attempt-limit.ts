/** Addresses whose attempts are counted; beyond them the oldest is forgotten. */
const ADDRESSES_MAX = 1024;

/** Counts what went wrong by address, and says when it is too much. */
export class AttemptLimit {
  readonly #max: number;
  readonly #windowMs: number;
  readonly #elapsedMs: () => number;
  readonly #counts = new Map<string, { count: number; sinceMs: number }>();

  /** At most `max` in any `windowMs` that begins with the first of them. */
  constructor(max: number, windowMs: number, elapsedMs: () => number = () => performance.now()) {
    this.#max = max;
    this.#windowMs = windowMs;
    this.#elapsedMs = elapsedMs;
  }

  isExceeded(address: string): boolean {
    const found = this.#counts.get(address);
    if (!found) return false;
    if (this.#elapsedMs() - found.sinceMs < this.#windowMs) return found.count >= this.#max;
    this.#counts.delete(address);
    return false;
  }

  count(address: string): void {
    // Asked first, for a window that is over begins anew.
    this.isExceeded(address);
    const found = this.#counts.get(address) ?? { count: 0, sinceMs: this.#elapsedMs() };
    found.count++;
    this.#counts.set(address, found);
    if (this.#counts.size <= ADDRESSES_MAX) return;
    const [oldest] = this.#counts.keys();
    this.#counts.delete(oldest!);
  }
}
