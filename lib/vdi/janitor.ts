import type { ObjectIO } from '../replication/object-io.js';
import type { Catalog } from './catalog.js';
import { finishMerge, forgetDoomed, planCleaning } from './family.js';
import type { FamilyRecord } from './records.js';

/** How long the janitor leaves a family alone after a failure (a full or failed disk). */
const RETRY_MS = 5000;

/**
 * Carries out what families have planned: deletes doomed layers, merges layers into their only child. One step at a
 * time, in the background; whatever is not finished when the process ends is found again in the family's record.
 */
export class Janitor {
  readonly #catalog: Catalog;
  readonly #objects: ObjectIO;
  readonly #onFamily: (family: FamilyRecord) => void;
  readonly #onError: (error: unknown, family: number) => void;
  readonly #queue = new Set<number>();
  /** Families with work, as they were last seen: a cut that comes in the middle of a merge lowers a limit. */
  readonly #latest = new Map<number, FamilyRecord>();
  readonly #retries = new Set<NodeJS.Timeout>();
  #running: Promise<void> | null = null;
  #closed = false;

  constructor(options: {
    catalog: Catalog;
    objects: ObjectIO;
    onFamily: (family: FamilyRecord) => void;
    onError: (error: unknown, family: number) => void;
  }) {
    this.#catalog = options.catalog;
    this.#objects = options.objects;
    this.#onFamily = options.onFamily;
    this.#onError = options.onError;
  }

  /** Tells of a family as it is now; work that it plans is begun. */
  note(family: FamilyRecord): void {
    // Two changes may be told of in another order than they were made.
    if ((this.#latest.get(family.id)?.version ?? 0) > family.version) return;
    if (family.doomed.length === 0 && family.merging.length === 0) {
      this.#latest.delete(family.id);
      return;
    }
    this.#latest.set(family.id, family);
    this.#enqueue(family.id);
  }

  /** Resolves when nothing is left to do, or what is left has failed for now. */
  async idle(): Promise<void> {
    while (this.#running) await this.#running;
  }

  /** Stops after the step that is under way. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const timer of this.#retries) clearTimeout(timer);
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
        this.#onError(error, family);
        const timer = setTimeout(() => {
          this.#retries.delete(timer);
          this.#enqueue(family);
        }, RETRY_MS);
        this.#retries.add(timer);
      }
    }
  }

  /** Answers whether there may be more to do. */
  async #step(id: number): Promise<boolean> {
    const family = (await this.#catalog.family(id))?.record;
    if (!family) {
      this.#latest.delete(id);
      return false;
    }
    if ((this.#latest.get(id)?.version ?? 0) <= family.version) this.#latest.set(id, family);
    const [doomed] = family.doomed;
    const [merge] = family.merging;
    if (doomed !== undefined) {
      await this.#objects.deleteLayer(id, doomed);
      this.#changed(await this.#catalog.updateFamily(id, (current) => forgetDoomed(current, doomed)));
      return true;
    }
    if (merge) {
      const { layer, child } = merge;
      const limit = () => {
        const record = this.#latest.get(id)?.layers[child];
        if (!record) throw new Error(`family ${id}: layer ${child} went while ${layer} was being merged into it`);
        return record.limit;
      };
      await this.#objects.mergeLayer(id, layer, child, limit);
      this.#changed(
        await this.#catalog.updateFamily(id, (current) =>
          // The child may have become useless meanwhile: then both layers are doomed, and there is no merge any more.
          current.merging.some((each) => each.layer === layer)
            ? planCleaning(finishMerge(current, layer, child))
            : null,
        ),
      );
      return true;
    }
    this.#latest.delete(id);
    return false;
  }

  #changed(family: FamilyRecord | null): void {
    if (!family) return;
    this.#onFamily(family);
  }
}
