import { type Chain, OBJECT_BYTES } from '../../lib/replication/object-io.js';

/** Indexes of an image that are used. */
export const INDEXES = 3;
export const SECTOR_BYTES = 512;
export const SECTORS = (INDEXES * OBJECT_BYTES) / SECTOR_BYTES;
export const UNLIMITED = Number.MAX_SAFE_INTEGER;

export interface PlannedImage {
  id: number;
  family: number;
  /** Newest first. */
  layers: number[];
}

/** What the coordination store would hold: it survives whatever happens to the disks, and their data must fit it. */
export interface Plan {
  images: PlannedImage[];
  /** By layer: how far what lies below shows. */
  limits: Record<number, number>;
  /** A cut that was begun: the image's id and its new size. */
  cutting: { image: number; size: number } | null;
  /** Layers to be deleted. */
  doomed: { family: number; layer: number }[];
  merging: { family: number; layer: number; child: number } | null;
  /** Never used before: for a layer or an image. */
  next: number;
}

export function emptyPlan(): Plan {
  return { images: [], limits: {}, cutting: null, doomed: [], merging: null, next: 1 };
}

export function chainIn(plan: Plan, image: PlannedImage): Chain {
  return { family: image.family, layers: image.layers.map((layer) => ({ layer, limit: plan.limits[layer]! })) };
}

/** Layers that can be merged into the one layer that lies on them. */
export function mergeable({ images }: Plan): { family: number; layer: number; child: number }[] {
  const children = new Map<number, Set<number>>();
  const families = new Map<number, number>();
  for (const { family, layers } of images) {
    for (const [position, layer] of layers.entries()) {
      families.set(layer, family);
      const own = children.get(layer) ?? new Set();
      own.add(position === 0 ? 0 : layers[position - 1]!);
      children.set(layer, own);
    }
  }
  return [...children].flatMap(([layer, own]) => {
    const [child] = own;
    return own.size === 1 && child ? [{ layer, child, family: families.get(layer)! }] : [];
  });
}

/**
 * What the writer notes of its work, a line each, in order. A line is written before the work that it announces and
 * after the work that it reports.
 */
export type Note =
  /**
   * Sectors of an image from `first`, `count` of them, are being made to hold `value`: a write's number, or 0. With
   * `through` they are on disk when it is answered.
   */
  | {
      kind: 'change';
      operation: number;
      image: number;
      first: number;
      count: number;
      value: number;
      through?: boolean;
    }
  | { kind: 'flush'; operation: number; image: number }
  /** A change or a flush was answered. */
  | { kind: 'answered'; operation: number }
  /** The coordination store holds this now. */
  | { kind: 'plan'; plan: Plan }
  /**
   * As `plan`; the source was flushed, and `target` is a new image that shows the same. What lies beyond the sectors
   * given reads as zeros in each.
   */
  | { kind: 'clone'; source: number; sourceSectors: number; target: number; targetSectors: number; plan: Plan }
  /** What all images show was written to the file of views. */
  | { kind: 'views' }
  /** Something is wrong that the writer can see itself. */
  | { kind: 'wrong'; what: string };

export interface WriterTask {
  seed: number;
  /** First number for operations and writes: none was used before. */
  first: number;
  disks: string[];
  notes: string;
  views: string;
  plan: Plan;
  /** Look at the views, wait until nothing is left that the index does not have, and end in order. */
  finish: boolean;
}
