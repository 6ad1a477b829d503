import type { Chain } from '../../lib/replication/object-io.js';
import { OBJECT_BYTES } from '../../lib/replication/object-io.js';

export interface ModelImage {
  family: number;
  /** Newest first. */
  layers: number[];
}

/** What object I/O is to answer, kept in memory: whole objects, copied at each first write. */
export class ObjectModel {
  readonly images: ModelImage[] = [];
  /** By layer: the object's bytes at an index, or null for a hole. */
  readonly #objects = new Map<number, Map<number, Buffer | null>>();
  readonly #limits = new Map<number, number>();
  #nextLayer = 1;

  create(family: number): ModelImage {
    const image = { family, layers: [this.addLayer(Number.MAX_SAFE_INTEGER)] };
    this.images.push(image);
    return image;
  }

  addLayer(limit: number): number {
    const layer = this.#nextLayer++;
    this.#objects.set(layer, new Map());
    this.#limits.set(layer, limit);
    return layer;
  }

  limitOf(layer: number): number {
    return this.#limits.get(layer)!;
  }

  chainOf(image: ModelImage): Chain {
    return { family: image.family, layers: image.layers.map((layer) => ({ layer, limit: this.limitOf(layer) })) };
  }

  /** The object as the layers from position `first` on show it; null for all zeros that no object stands for. */
  view(image: ModelImage, index: number, first = 0): Buffer | null {
    let visible = OBJECT_BYTES;
    for (const [position, layer] of image.layers.entries()) {
      if (position >= first) {
        const object = this.#objects.get(layer)!.get(index);
        if (object === null) return null;
        if (object) {
          const shown = Buffer.alloc(OBJECT_BYTES);
          object.copy(shown, 0, 0, visible);
          return shown;
        }
      }
      visible = Math.min(visible, this.limitOf(layer) - index * OBJECT_BYTES);
      if (visible <= 0) return null;
    }
    return null;
  }

  write(image: ModelImage, index: number, offset: number, source: Buffer): void {
    const top = this.#objects.get(image.layers[0]!)!;
    let object = top.get(index);
    if (!object) {
      object = this.view(image, index) ?? Buffer.alloc(OBJECT_BYTES);
      top.set(index, object);
    }
    source.copy(object, offset);
  }

  discard(image: ModelImage, index: number, offset: number, length: number): void {
    if (!this.view(image, index)) return;
    this.write(image, index, offset, Buffer.alloc(length));
  }

  truncate(image: ModelImage, size: number): void {
    const layer = image.layers[0]!;
    const top = this.#objects.get(layer)!;
    for (const [index, object] of top) {
      const kept = size - index * OBJECT_BYTES;
      if (kept <= 0) top.delete(index);
      else if (object && kept < OBJECT_BYTES) object.fill(0, kept);
    }
    this.#limits.set(layer, Math.min(this.limitOf(layer), size));
  }

  deleteLayer(layer: number): void {
    this.#objects.delete(layer);
  }

  /** Gives what `layer` has to its only child, and takes it out of every chain. */
  merge(layer: number, child: number): void {
    const limit = this.limitOf(child);
    const target = this.#objects.get(child)!;
    for (const [index, object] of this.#objects.get(layer)!) {
      const visible = limit - index * OBJECT_BYTES;
      if (visible <= 0 || target.has(index)) continue;
      if (object && visible < OBJECT_BYTES) object.fill(0, visible);
      target.set(index, object);
    }
    this.#objects.delete(layer);
    this.#limits.set(child, Math.min(limit, this.limitOf(layer)));
    for (const image of this.images) image.layers = image.layers.filter((other) => other !== layer);
  }

  /** Layers that no image has. */
  orphans(): number[] {
    const used = new Set(this.images.flatMap(({ layers }) => layers));
    return [...this.#objects.keys()].filter((layer) => !used.has(layer));
  }

  /** Layers that can be merged into the one layer that lies on them. */
  mergeable(): { layer: number; child: number; family: number }[] {
    const children = new Map<number, Set<number>>();
    const families = new Map<number, number>();
    for (const { family, layers } of this.images) {
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
}
