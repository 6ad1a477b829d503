/** One range that is being written, discarded or cut. */
export interface HeldRange {
  start: number;
  /** Exclusive. */
  end: number;
}

/**
 * Keeps changes that overlap from being in flight together, and lets one caller hold all of them back (`freeze`).
 * Ranges wait in the order in which they came; few are in flight at a time, so a plain list is searched.
 */
export class RangeLock {
  readonly #held: HeldRange[] = [];
  readonly #queue: { start: number; end: number; grant: (range: HeldRange) => void }[] = [];
  #frozen = 0;
  #drained: (() => void)[] = [];

  /** The held range at once where nothing overlaps, else null: then `wait` for it. */
  tryTake(start: number, end: number): HeldRange | null {
    if (this.#frozen > 0 || this.#queue.length > 0) return null;
    for (const range of this.#held) {
      if (range.start < end && start < range.end) return null;
    }
    return this.#hold(start, end);
  }

  wait(start: number, end: number): Promise<HeldRange> {
    return new Promise((grant) => {
      this.#queue.push({ start, end, grant });
    });
  }

  take(start: number, end: number): Promise<HeldRange> | HeldRange {
    return this.tryTake(start, end) ?? this.wait(start, end);
  }

  release(range: HeldRange): void {
    const held = this.#held;
    const at = held.indexOf(range);
    const last = held.pop()!;
    if (at < held.length) held[at] = last;
    if (held.length === 0 && this.#drained.length > 0) {
      const drained = this.#drained;
      this.#drained = [];
      for (const resolve of drained) resolve();
    }
    if (this.#queue.length > 0) this.#grant();
  }

  /** Holds new changes back and resolves when none is in flight; the caller must `thaw`. */
  async freeze(): Promise<void> {
    this.#frozen++;
    if (this.#held.length > 0) {
      await new Promise<void>((resolve) => {
        this.#drained.push(resolve);
      });
    }
  }

  thaw(): void {
    this.#frozen--;
    this.#grant();
  }

  #hold(start: number, end: number): HeldRange {
    const range: HeldRange = { start, end };
    this.#held.push(range);
    return range;
  }

  #grant(): void {
    while (this.#frozen === 0 && this.#queue.length > 0) {
      const { start, end, grant } = this.#queue[0]!;
      if (this.#held.some((range) => range.start < end && start < range.end)) return;
      this.#queue.shift();
      grant(this.#hold(start, end));
    }
  }
}
