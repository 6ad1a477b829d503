import { copiesOf, familyOffset, groupAt } from '../../lib/cluster/placement.js';

/** Where the simulated cluster's families belong: a few groups a table, so that a few objects meet in each. */
export class Placement {
  readonly pgs: number;
  readonly #offsets = new Map<number, number>();

  constructor(pgs: number) {
    this.pgs = pgs;
  }

  copiesOf(family: number): number {
    return copiesOf(family);
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
