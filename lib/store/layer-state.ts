import type { OpenFile } from './open-file.js';

/** An object whose first write since its last retirement was recorded. */
export interface ActiveObject {
  readonly index: number;
  /** The last write that was sent to it; of one that an earlier process recorded, the first. See WriteOrder. */
  vdi: number;
  generation: number;
  sequence: number;
  /** Epoch of the last write, or the group's later `since`. */
  modified: number;
  /** The entry's epoch may be lower. */
  raised: boolean;
  /** Writes sent and not answered. */
  outstanding: number;
  /** Flushes of the layer that had begun when a write to it was last sent or answered; -1: by an earlier process. */
  touched: number;
  /** When it was last written, of the disk's time. */
  writtenAt: number;
  /** Its record was removed; another is needed before the next write. */
  retired: boolean;
}

/** What the process knows of one layer on one disk, beside the index. */
export class LayerState {
  readonly family: number;
  readonly layer: number;
  /** Files with writes that no sync has covered, the oldest first. */
  readonly dirty = new Set<OpenFile>();
  /** Syncs that are under way: a flush waits for those that began before it. */
  readonly syncs = new Set<Promise<void>>();
  /** Active objects by index, the longest recorded first. */
  readonly active = new Map<number, ActiveObject>();
  /** Flushes that began, and the newest that completed. */
  flushesBegun = 0;
  flushCompleted = -1;
  /** The retirement under way that writes wait for when there are too many active objects. */
  retiring: Promise<void> | null = null;

  constructor(family: number, layer: number) {
    this.family = family;
    this.layer = layer;
  }

  /** Whether a retirement would lose nothing: no write was sent or unanswered since a flush began that completed. */
  retirable(object: ActiveObject): boolean {
    return object.outstanding === 0 && object.touched < this.flushCompleted;
  }

  get unused(): boolean {
    return this.dirty.size === 0 && this.active.size === 0 && this.syncs.size === 0;
  }
}
