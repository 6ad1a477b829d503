import { copiesOf } from '../cluster/placement.js';
import type { Coordination, Watch } from '../coordination/coordination.js';
import { KEY } from '../vdi/records.js';

/** The redundancies that there are families of, or may be: each has a table of groups in the map. */
export class CopiesInUse {
  readonly #copies: Set<number>;
  readonly #changed: () => void;
  #watch: Watch | null = null;

  /** `copies`: what new images have unless told otherwise. */
  constructor(copies: number, changed: () => void) {
    this.#copies = new Set([copies]);
    this.#changed = changed;
  }

  async open(coordination: Coordination): Promise<void> {
    this.#watch = coordination.watch(KEY.families, (events) => {
      for (const { keyValue } of events) this.#note(keyValue.key);
    });
    for (const { key } of await coordination.range(KEY.families)) this.#note(key);
  }

  get all(): readonly number[] {
    return [...this.#copies].sort((a, b) => a - b);
  }

  close(): void {
    this.#watch?.close();
  }

  #note(key: string): void {
    const copies = copiesOf(Number(key.slice(KEY.families.length)));
    if (this.#copies.has(copies)) return;
    this.#copies.add(copies);
    this.#changed();
  }
}
