import { chainOf } from './family.js';
import type { FamilyRecord, VdiRecord } from './records.js';

/** What decides for which image a layer counts. */
export type Kinship = Pick<VdiRecord, 'parent' | 'snapshotOf' | 'unlinked'>;

/**
 * The image that each layer of a family counts for where it is told how much space images take, so that each counts once:
 * not for a clone while the image that it was cloned from shows the layer as well, and of those that are left for the
 * oldest. A snapshot's layers count for its image. What only images show whose names are gone counts for none.
 */
export function layerOwners(family: FamilyRecord, kinships: ReadonlyMap<number, Kinship>): Map<number, number> {
  const owners = new Map<number, number>();
  for (const [layer, images] of shownBy(family, kinships)) {
    const originals = [...images].filter((image) => {
      const parent = kinships.get(image)?.parent;
      return parent === undefined || !images.has(parent);
    });
    // Of two that were cloned from one another in turn there is no original.
    const [oldest] = originals.length > 0 ? originals : images;
    owners.set(layer, kinships.get(oldest!)?.snapshotOf ?? oldest!);
  }
  return owners;
}

/** By layer, the images that show it, the oldest first. */
function shownBy(family: FamilyRecord, kinships: ReadonlyMap<number, Kinship>): Map<number, Set<number>> {
  const shown = new Map<number, Set<number>>();
  const images = Object.keys(family.images).map(Number);
  for (const image of images.sort((a, b) => a - b)) {
    if (kinships.get(image)?.unlinked) continue;
    for (const { layer } of chainOf(family, image).layers) shown.set(layer, (shown.get(layer) ?? new Set()).add(image));
  }
  return shown;
}
