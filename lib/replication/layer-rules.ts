import { OBJECT_BYTES } from '../store/constants.js';
import { HOLE, NOTHING } from '../store/entry.js';
import type { DescribedLayer, IndexDescription } from '../store/object-describe.js';
import { cutHashes } from '../store/object-pull.js';

/** A layer that is given to its only child, on each disk by itself. */
export interface MergingLayer {
  readonly layer: number;
  readonly child: number;
  /** The child's: bytes of the image up to which it shows what lies below. The same until the merge is over. */
  readonly limit: number;
}

/** What a host knows of layers that are on their way out, before it serves or recovers anything. */
export interface LayerRules {
  /** Layers of the family that nothing refers to any more. */
  doomed(family: number): readonly number[];
  merging(family: number): readonly MergingLayer[];
  /** Grows with each change of the two that this process hears of, and may do so without one. */
  era(family: number): number;
}

/** Where no layer is ever given up. */
export const NO_LAYER_RULES: LayerRules = { doomed: () => [], merging: () => [], era: () => 0 };

/** The merges of a family in words: copies are compared, and made equal, by one that all of them go by. */
export function mergesKey(merging: readonly Pick<MergingLayer, 'layer' | 'child'>[]): string {
  return merging.map(({ layer, child }) => `${layer}>${child}`).join();
}

/**
 * What a disk is to have of an index that another one describes: a source that has not done yet what this host knows of
 * must not bring back what is gone here.
 */
export function underRules(description: IndexDescription, rules: LayerRules): IndexDescription {
  const { family, index } = description;
  const doomed = new Set(rules.doomed(family));
  const merging = rules.merging(family);
  if (doomed.size === 0 && merging.length === 0) return description;
  const layers = new Map<number, DescribedLayer>();
  for (const described of description.layers) if (!doomed.has(described.layer)) layers.set(described.layer, described);
  for (const { layer, child, limit } of merging) {
    const lower = layers.get(layer);
    if (!lower) continue;
    layers.delete(layer);
    const upper = layers.get(child);
    const visible = Math.min(OBJECT_BYTES, limit - index * OBJECT_BYTES);
    if (visible <= 0 || lower.kind === NOTHING || (upper && upper.kind !== NOTHING)) continue;
    layers.set(child, merged(lower, upper ?? null, child, visible));
  }
  return { family, index, layers: [...layers.values()].sort((a, b) => a.layer - b.layer) };
}

/** What was the lower layer's as the child's, cut to what that shows of it. */
function merged(lower: DescribedLayer, upper: DescribedLayer | null, child: number, visible: number): DescribedLayer {
  const moved: DescribedLayer = {
    ...lower,
    layer: child,
    source: lower.source ?? lower.layer,
    active: upper?.active ?? lower.active,
    modified: Math.max(lower.modified, upper?.modified ?? 0),
  };
  if (lower.kind === HOLE || lower.length <= visible) return moved;
  const end = Math.min(lower.end, visible);
  return { ...moved, length: visible, end, whole: false, hashes: cutHashes(lower.hashes, visible) };
}
