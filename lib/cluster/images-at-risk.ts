import type { LostGroup } from './force-removal.js';
import { familyOffset, groupAt } from './placement.js';

/** An image, or a snapshot of one, as the catalog has it. */
export interface Image {
  readonly name: string;
  readonly family: number;
  /** Redundancy of its family. */
  readonly copies: number;
  /** Objects that its size is cut into. */
  readonly objects: number;
}

export interface ImageAtRisk {
  readonly name: string;
  /** So many of its objects, holes included, are in groups whose last copy is given up. */
  readonly objects: number;
}

/**
 * Which images may lose objects with the last copies of these groups, and how many at most, those with most first. It is
 * all that the map tells: what was written to them since another disk had a copy, only that last one knows.
 */
export function imagesAtRisk(lost: readonly LostGroup[], images: Iterable<Image>, pgs: number): ImageAtRisk[] {
  const groups = new Map<number, Set<number>>();
  for (const { copies, pg } of lost) groups.set(copies, (groups.get(copies) ?? new Set()).add(pg));
  const found: ImageAtRisk[] = [];
  for (const { name, family, copies, objects } of images) {
    const objectsLost = countIn(groups.get(copies) ?? new Set(), family, objects, pgs);
    if (objectsLost > 0) found.push({ name, objects: objectsLost });
  }
  return found.sort((a, b) => b.objects - a.objects || (a.name < b.name ? -1 : 1));
}

/** Consecutive objects go round all groups, so whole rounds are not counted one by one. */
function countIn(groups: ReadonlySet<number>, family: number, objects: number, pgs: number): number {
  const rounds = Math.floor(objects / pgs);
  const offset = familyOffset(family, pgs);
  let count = rounds * groups.size;
  for (let index = rounds * pgs; index < objects; index++) if (groups.has(groupAt(offset, index, pgs))) count++;
  return count;
}
