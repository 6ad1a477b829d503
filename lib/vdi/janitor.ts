import type { AllDisks } from '../cluster/all-disks.js';
import type { Clock } from '../cluster/clock.js';
import type { LayerDisk, Objects } from '../replication/object-io.js';
import { type Catalog, put } from './catalog.js';
import { confirm, forgetLayer, isConfirmed, nextVersion, workOf } from './family.js';
import type { FamilyWatch } from './family-watch.js';
import { type FamilyRecord, KEY } from './records.js';

/** How long the janitor leaves a family alone after a failure (a full or failed disk), or while other hosts have to do their part. */
const RETRY_MS = 5000;

export interface JanitorOptions {
  readonly catalog: Catalog;
  readonly objects: Objects;
  readonly families: FamilyWatch;
  readonly clock: Clock;
  /** Reads what disks there are, whether or not they are up. */
  allDisks(): Promise<AllDisks>;
  onFamily(family: FamilyRecord): void;
  onError(error: unknown, family: number): void;
}

/**
 * Carries out what families have planned, on this host's disks: deletes doomed layers, merges layers into their only
 * child; tells when a disk has nothing of them any more, and forgets a layer of which no disk has. One layer at a time, in
 * the background; whatever is not finished when the process ends is found again in the family's record.
 */
export class Janitor {
  readonly #options: JanitorOptions;
  readonly #queue = new Set<number>();
  readonly #cancels = new Set<() => void>();
  /** By family and layer, disks that have nothing of it, whether or not that is on record. */
  readonly #done = new Map<string, Set<number>>();
  #running: Promise<void> | null = null;
  #closed = false;

  constructor(options: JanitorOptions) {
    this.#options = options;
    options.families.onChange((family) => this.#enqueue(family));
  }

  /** Begins what earlier processes have left. */
  start(): void {
    for (const family of this.#options.families.families) this.#enqueue(family);
  }

  /** Resolves when nothing is left to do here, or what is left has failed for now. */
  async idle(): Promise<void> {
    while (this.#running) await this.#running;
  }

  /** Stops after the step that is under way. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const cancel of this.#cancels) cancel();
    await this.#running;
  }

  #enqueue(family: number): void {
    if (this.#closed) return;
    this.#queue.add(family);
    this.#running ??= this.#run().finally(() => {
      this.#running = null;
      const [next] = this.#queue;
      if (next !== undefined) this.#enqueue(next);
    });
  }

  async #run(): Promise<void> {
    for (const family of this.#queue) {
      if (this.#closed) return;
      this.#queue.delete(family);
      try {
        while (!this.#closed && (await this.#step(family)));
      } catch (error) {
        if (this.#closed) return;
        this.#options.onError(error, family);
        this.#retry(family);
      }
    }
  }

  #retry(family: number): void {
    const cancel = this.#options.clock.after(RETRY_MS, () => {
      this.#cancels.delete(cancel);
      this.#enqueue(family);
    });
    this.#cancels.add(cancel);
  }

  /** Answers whether there may be more to do at once. */
  async #step(id: number): Promise<boolean> {
    const { catalog, families, objects } = this.#options;
    const family = (await catalog.family(id))?.record;
    if (!family) return false;
    families.note(family);
    const work = workOf(family);
    if (work.length === 0) return false;
    for (const layer of work) {
      const done = this.#doneAt(id, layer);
      // What one has confirmed it may have again: it was an older image of the disk, or came back.
      const left = objects.layerDisks.filter(({ number }) => !done.has(number));
      // Each by itself: the others do not wait for one that fails.
      const outcomes = await Promise.allSettled(
        left.map(async (disk) => {
          const isPlanned = await this.#clear(disk, id, layer);
          if (isPlanned) done.add(disk.number);
          return isPlanned;
        }),
      );
      if (outcomes.some((outcome) => outcome.status === 'fulfilled' && !outcome.value)) return true;
      const isChanged = await this.#confirm(id, layer);
      const failed = outcomes.find((outcome) => outcome.status === 'rejected');
      if (failed) throw failed.reason;
      if (isChanged) return true;
    }
    // Others have their part to do, or a disk is away: their confirmations are heard of, a disk that is gone for good is not.
    this.#retry(id);
    return false;
  }

  #doneAt(family: number, layer: number): Set<number> {
    const key = `${family}/${layer}`;
    let done = this.#done.get(key);
    if (!done) {
      done = new Set();
      this.#done.set(key, done);
    }
    return done;
  }

  /** Has one disk do its part; false where the plan is another by now. */
  async #clear(disk: LayerDisk, family: number, layer: number): Promise<boolean> {
    const { families } = this.#options;
    const merge = families.merging(family).find((each) => each.layer === layer);
    if (!merge) {
      if (!families.doomed(family).includes(layer)) return false;
      await disk.deleteLayer(family, layer);
      return true;
    }
    await disk.mergeLayer(family, layer, merge.child, merge.limit);
    return true;
  }

  /** Puts on record what this host's disks have done, and forgets the layer after the last one. Answers whether it changed anything. */
  async #confirm(id: number, layer: number): Promise<boolean> {
    const { catalog, objects } = this.#options;
    const all = await this.#options.allDisks();
    const found = await catalog.family(id);
    if (!found || !workOf(found.record).includes(layer)) return true;
    const done = this.#doneAt(id, layer);
    let family = found.record;
    for (const { number } of objects.layerDisks) {
      if (done.has(number)) family = confirm(family, layer, number) ?? family;
    }
    const isOver = isConfirmed(family, layer, all.numbers);
    if (isOver) family = forgetLayer(family, layer);
    if (family === found.record) return false;
    const changed = nextVersion(family);
    const isEmpty = Object.keys(changed.layers).length === 0;
    const isStored = await catalog.attempt({
      compare: [{ key: KEY.family(id), modRevision: found.revision }, ...all.compare],
      success: [isEmpty ? { delete: KEY.family(id) } : put(KEY.family(id), changed)],
    });
    if (isStored && isOver) this.#done.delete(`${id}/${layer}`);
    if (isStored && !isEmpty) this.#options.onFamily(changed);
    return true;
  }
}
