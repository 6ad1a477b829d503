import { familyOffset, groupAt } from '../../lib/cluster/placement.js';

/** Where the simulated cluster's families belong: a few groups a table, so that a few objects meet in each. */
export class Placement {
  readonly pgs: number;
  readonly #copies: readonly number[];
  readonly #offsets = new Map<number, number>();

  /** `copies` has the redundancies in use; families take turns. */
  constructor(pgs: number, copies: readonly number[]) {
    this.pgs = pgs;
    this.#copies = copies;
  }

  copiesOf(family: number): number {
    return this.#copies[family % this.#copies.length]!;
  }

  pgOf(family: number, index: number): number {
    let offset = this.#offsets.get(family);
    if (offset === undefined) {
      offset = familyOffset(family, this.pgs);
      this.#offsets.set(family, offset);
    }
    return groupAt(offset, index, this.pgs);
  }
}
