/** An object that may differ between copies, or be on none of their disks yet, as its writer knows it. */
export interface WriterObject {
  readonly family: number;
  readonly layer: number;
  readonly index: number;
  readonly pg: number;
  /** Of the last change that was sent; -1 where that was an older generation's. */
  sequence: number;
  /** Changes that were sent and are not done. */
  outstanding: number;
  /** Flushes that had begun when a change to it was last sent or done. */
  touched: number;
  /** An older generation may have left it different; it has not been made equal yet. */
  unequal: boolean;
}

/** The writer's active objects, the longest active first. */
export class ActiveObjects {
  readonly #layers = new Map<number, Map<number, WriterObject>>();
  size = 0;

  get(layer: number, index: number): WriterObject | undefined {
    return this.#layers.get(layer)?.get(index);
  }

  add(object: WriterObject): void {
    let objects = this.#layers.get(object.layer);
    if (!objects) {
      objects = new Map();
      this.#layers.set(object.layer, objects);
    }
    objects.set(object.index, object);
    this.size++;
  }

  remove(object: WriterObject): void {
    const objects = this.#layers.get(object.layer)!;
    if (!objects.delete(object.index)) return;
    this.size--;
    if (objects.size === 0) this.#layers.delete(object.layer);
  }

  *[Symbol.iterator](): Generator<WriterObject> {
    for (const objects of this.#layers.values()) yield* objects.values();
  }
}
