import type { Coordination, Watch } from '../coordination/coordination.js';
import { type LayerRules, type MergingLayer, mergesKey } from '../replication/layer-rules.js';
import { decodeRecord, type FamilyRecord, KEY } from './records.js';

/** Families whose era is remembered; of the one whose last change is the longest ago it is forgotten first. */
export const ERAS_MAX = 16_384;

/**
 * The families that have layers to delete or to merge, kept in memory by a watch: whoever has copies has to know before
 * it serves or recovers anything.
 */
export class FamilyWatch implements LayerRules {
  readonly #coordination: Coordination;
  readonly #families = new Map<number, FamilyRecord>();
  readonly #listeners = new Set<(family: number) => void>();
  /** By family, in the order of these numbers. */
  readonly #eras = new Map<number, number>();
  /** Changes of what any family has on its way out; and the era of families that none is remembered of. */
  #changes = 0;
  #eraOfOthers = 0;
  #watch: Watch | null = null;

  constructor(coordination: Coordination) {
    this.#coordination = coordination;
  }

  /** Resolves when all that is stored is known. Rejects as the store does; to be called again then. */
  async open(): Promise<void> {
    this.#watch ??= this.#coordination.watch(KEY.families, (events) => {
      for (const { type, keyValue } of events) {
        const id = Number(keyValue.key.slice(KEY.families.length));
        if (type === 'delete') this.#forget(id);
        else this.note(decodeRecord<FamilyRecord>(keyValue.value));
      }
    });
    for (const { value } of await this.#coordination.range(KEY.families)) this.note(decodeRecord<FamilyRecord>(value));
  }

  close(): void {
    this.#watch?.close();
    this.#listeners.clear();
  }

  /** Hears of each family that has work, or had some. Answers what ends that. */
  onChange(listener: (family: number) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** A family as it was stored at some moment: two may be told of in another order than they were stored. */
  note(family: FamilyRecord): void {
    const known = this.#families.get(family.id);
    if (known && known.version >= family.version) return;
    if (family.doomed.length > 0 || family.merging.length > 0) this.#families.set(family.id, family);
    else if (known) this.#families.delete(family.id);
    else return;
    this.#tell(family.id, known, family);
  }

  /** The family as it is known, where it has work. */
  get(family: number): FamilyRecord | undefined {
    return this.#families.get(family);
  }

  /** Families with work. */
  get families(): number[] {
    return [...this.#families.keys()];
  }

  doomed(family: number): readonly number[] {
    return this.#families.get(family)?.doomed ?? [];
  }

  merging(family: number): readonly MergingLayer[] {
    const known = this.#families.get(family);
    if (!known) return [];
    return known.merging.map(({ layer, child }) => ({ layer, child, limit: known.layers[child]!.limit }));
  }

  era(family: number): number {
    return this.#eras.get(family) ?? this.#eraOfOthers;
  }

  #forget(id: number): void {
    const known = this.#families.get(id);
    if (this.#families.delete(id)) this.#tell(id, known, undefined);
  }

  #tell(family: number, before: FamilyRecord | undefined, after: FamilyRecord | undefined): void {
    if (planOf(before) !== planOf(after)) this.#beginEra(family);
    for (const listener of this.#listeners) listener(family);
  }

  #beginEra(family: number): void {
    this.#eras.delete(family);
    this.#eras.set(family, ++this.#changes);
    if (this.#eras.size <= ERAS_MAX) return;
    for (const [oldest, era] of this.#eras) {
      this.#eras.delete(oldest);
      this.#eraOfOthers = era;
      return;
    }
  }
}

/** What the family has on its way out, in words. */
function planOf(family: FamilyRecord | undefined): string {
  return family ? `${family.doomed.join()}/${mergesKey(family.merging)}` : '/';
}
