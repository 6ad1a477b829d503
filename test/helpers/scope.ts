import type { Assertions } from 'brittle';

/** Whatever is put away at the end of a test. */
export type Teardowns = Pick<Assertions, 'teardown'>;

/** Puts away at the end of a whole file what its tests share; `end` belongs into the last of them. */
export class Scope implements Teardowns {
  readonly #entries: { fn: () => unknown; order: number }[] = [];

  teardown(fn: () => unknown, options: { order?: number } = {}): void {
    this.#entries.push({ fn, order: options.order ?? 0 });
  }

  /** In the order of their numbers, those of one number last first. */
  async end(): Promise<void> {
    for (const { fn } of this.#entries
      .splice(0)
      .reverse()
      .sort((a, b) => a.order - b.order))
      await fn();
  }
}
