import { type Note, type Plan, SECTORS } from './store-plan.js';

/** A value that a sector was given. */
interface Change {
  /** The number of a write, or 0 for zeros. */
  value: number;
  /** Of the operation; null where it was seen to have taken place. */
  operation: number | null;
}

/** How the writer ended: by its own death alone, or with the machine. */
export type End = 'killed' | 'cut';

/**
 * What the sectors of each image may hold, by the writer's notes: after a power cut, what the last flush found or
 * anything that came later; after the writer's death alone, the last that was answered or something that was not
 * answered yet.
 */
export class StoreHistory {
  plan: Plan;
  /** By image and sector: the changes that matter, the oldest first. A sector that is absent holds zeros for sure. */
  readonly #images = new Map<number, Map<number, Change[]>>();
  /** Answered operations, by the position of the answer among the notes. */
  readonly #answered = new Map<number, number>();
  readonly #flushes = new Map<number, { image: number; begun: number }>();
  readonly #through = new Map<number, { image: number; first: number; count: number }>();
  #position = 0;
  /** One above every number that the writer has used. */
  next = 1;
  answeredFlushes = 0;
  answeredChanges = 0;
  checks = 0;

  constructor(plan: Plan) {
    this.plan = plan;
  }

  add(note: Note): void {
    this.#position++;
    if ('operation' in note) this.next = Math.max(this.next, note.operation + 1);
    switch (note.kind) {
      case 'change':
        this.#change(note.image, note.first, note.count, { value: note.value, operation: note.operation });
        if (note.through) this.#through.set(note.operation, note);
        break;
      case 'flush':
        this.#flushes.set(note.operation, { image: note.image, begun: this.#position });
        break;
      case 'answered':
        this.#answer(note.operation);
        break;
      case 'clone':
        this.plan = note.plan;
        this.#clone(note.source, note.sourceSectors, note.target, note.targetSectors);
        break;
      case 'plan':
        this.plan = note.plan;
        for (const image of this.#images.keys()) {
          if (!note.plan.images.some(({ id }) => id === image)) this.#images.delete(image);
        }
        break;
    }
  }

  /**
   * Compares what is there with what may be, and goes on from it: an image's view is its sectors' values. Answers what
   * is wrong, in words, a line an image.
   */
  check(end: End, views: Map<number, Uint32Array>): string[] {
    this.checks++;
    const wrong: string[] = [];
    for (const { id } of this.plan.images) {
      const view = views.get(id)!;
      const sectors = this.#sectors(id);
      let count = 0;
      let first = '';
      for (let sector = 0; sector < SECTORS; sector++) {
        const changes = sectors.get(sector);
        const value = view[sector]!;
        if (!changes && value === 0) continue;
        const allowed = end === 'cut' ? (changes ?? []) : this.#sinceAnswer(changes ?? []);
        const right = allowed.some((change) => change.value === value) || (allowed[0] === undefined && value === 0);
        if (!right) {
          if (count === 0) {
            const may = allowed.map((change) => `${change.value} by ${change.operation}`).join(', ') || 'zeros';
            first = `sector ${sector} holds ${value}, but may hold ${may}`;
          }
          count++;
        }
        if (end === 'cut') sectors.set(sector, [{ value, operation: null }]);
        else sectors.set(sector, [...(changes ?? [zeros()]), { value, operation: null }]);
      }
      if (count > 0) wrong.push(`image ${id}: ${count} sectors are wrong; ${first}`);
    }
    return wrong;
  }

  #change(image: number, first: number, count: number, change: Change): void {
    const sectors = this.#sectors(image);
    for (let sector = first; sector < first + count; sector++) {
      const changes = sectors.get(sector);
      if (changes) changes.push(change);
      else if (change.value !== 0) sectors.set(sector, [zeros(), change]);
    }
  }

  #answer(operation: number): void {
    this.#answered.set(operation, this.#position);
    const flush = this.#flushes.get(operation);
    if (!flush) {
      this.answeredChanges++;
      this.#settleThrough(operation);
      return;
    }
    this.answeredFlushes++;
    this.#flushes.delete(operation);
    for (const [sector, changes] of this.#sectors(flush.image)) {
      let last = changes.length - 1;
      while (last > 0 && !this.#answeredBefore(changes[last]!, flush.begun)) last--;
      if (last > 0) this.#sectors(flush.image).set(sector, changes.slice(last));
    }
  }

  #settleThrough(operation: number): void {
    const change = this.#through.get(operation);
    if (!change) return;
    this.#through.delete(operation);
    const sectors = this.#sectors(change.image);
    for (let sector = change.first; sector < change.first + change.count; sector++) {
      const changes = sectors.get(sector) ?? [];
      const at = changes.findIndex((each) => each.operation === operation);
      if (at > 0) sectors.set(sector, changes.slice(at));
    }
  }

  #answeredBefore({ operation }: Change, position: number): boolean {
    return operation === null || (this.#answered.get(operation) ?? Number.POSITIVE_INFINITY) < position;
  }

  /** From the last answered change on. */
  #sinceAnswer(changes: Change[]): Change[] {
    let last = changes.length - 1;
    while (last > 0 && !this.#answeredBefore(changes[last]!, Number.POSITIVE_INFINITY)) last--;
    return changes.slice(Math.max(last, 0));
  }

  #clone(source: number, sourceSectors: number, target: number, targetSectors: number): void {
    const from = this.#sectors(source);
    const to = this.#sectors(target);
    for (const [sector, changes] of from) {
      if (sector < targetSectors) to.set(sector, [...changes]);
      if (sector >= sourceSectors) from.delete(sector);
    }
  }

  #sectors(image: number): Map<number, Change[]> {
    let sectors = this.#images.get(image);
    if (!sectors) {
      sectors = new Map();
      this.#images.set(image, sectors);
    }
    return sectors;
  }
}

function zeros(): Change {
  return { value: 0, operation: null };
}
