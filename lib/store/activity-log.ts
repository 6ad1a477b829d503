import { ACTIVE_OBJECTS_HIGH, ACTIVE_OBJECTS_MAX, RETIRE_BATCH, RETIRE_IDLE_MS } from './constants.js';
import { NOTHING } from './entry.js';
import type { FileIo } from './file-io.js';
import type { Flusher } from './flusher.js';
import type { ActiveObject, LayerState } from './layer-state.js';
import type { ObjectIndex } from './object-index.js';
import { pause, type Time } from './time.js';
import { isLater, type WriteOrder } from './write-order.js';

/** Pause before another try where every active object has a write under way. */
const RETIRE_RETRY_MS = 5;

/**
 * Which objects may differ from what a flush left: those with a record. It is made with or before the first write, and
 * removed (the object *retired*) when a flush has covered all writes, lazily and many at a time.
 */
export class ActivityLog {
  readonly #io: FileIo;
  readonly #index: ObjectIndex;
  readonly #flusher: Flusher;
  readonly #time: Time;
  readonly #replicated: boolean;

  /** With `replicated`, another decides what is retired: see retirement.ts. */
  constructor(io: FileIo, index: ObjectIndex, flusher: Flusher, time: Time, replicated = false) {
    this.#io = io;
    this.#index = index;
    this.#flusher = flusher;
    this.#time = time;
    this.#replicated = replicated;
  }

  /** The records of an earlier process, into memory. */
  load(layerOf: (family: number, layer: number) => LayerState): void {
    for (const { family, index, layer, ...record } of this.#index.activeObjects()) {
      const found = this.#index.find(family, index, layer) !== NOTHING;
      const active = newActive(index, record, record.modified, 0);
      active.raised = found && record.modified > this.#index.foundModified;
      active.touched = -1;
      layerOf(family, layer).active.set(index, active);
    }
  }

  /** The object's record if it has one, held for a write: it is not retired before `drop`. */
  hold(layer: LayerState, index: number, order: WriteOrder): ActiveObject | null {
    const active = layer.active.get(index);
    if (!active) return null;
    active.outstanding++;
    noteOrder(active, order);
    return active;
  }

  /** Within a commit, after `room`: records that the object is active, and holds the record. */
  record(layer: LayerState, index: number, modified: number, order: WriteOrder): ActiveObject {
    const held = this.hold(layer, index, order);
    if (held) return held;
    const active = newActive(index, order, modified, layer.flushesBegun);
    active.outstanding = 1;
    this.#index.putActive(layer.family, index, layer.layer, active);
    layer.active.set(index, active);
    return active;
  }

  /** Within a commit: the object is active no more. */
  retireWithin(layer: LayerState, active: ActiveObject): void {
    const { index } = active;
    active.retired = true;
    layer.active.delete(index);
    this.#index.removeActive(layer.family, index, layer.layer);
    if (active.raised) this.#index.putRaised(layer.family, index, layer.layer, active.modified);
  }

  /** The write that held the record has ended. */
  drop(layer: LayerState, active: ActiveObject): void {
    active.outstanding--;
    active.touched = layer.flushesBegun;
    active.writtenAt = this.#time.elapsedMs();
  }

  /** The object is gone: its entry's removal took the record with it. */
  forget(layer: LayerState, index: number): void {
    layer.active.delete(index);
  }

  /** Resolves when the layer may have one more active object. Older ones are retired, after a flush where needed. */
  async room(layer: LayerState): Promise<void> {
    if (layer.active.size < ACTIVE_OBJECTS_HIGH || this.#replicated) return;
    layer.retiring ??= this.#makeRoom(layer).finally(() => {
      layer.retiring = null;
    });
    if (layer.active.size >= ACTIVE_OBJECTS_MAX) await layer.retiring;
    // An error is one of the disk: it is told to whoever asks next.
    else layer.retiring.catch(() => {});
  }

  async #makeRoom(layer: LayerState): Promise<void> {
    while (layer.active.size >= ACTIVE_OBJECTS_HIGH) {
      if ((await this.#retire(layer, () => true)) > 0) continue;
      await this.#flusher.flush([layer]);
      if ((await this.#retire(layer, () => true)) > 0) continue;
      if (this.#io.failure) throw this.#io.failure;
      await pause(this.#time, RETIRE_RETRY_MS);
    }
  }

  /** Retires what was not written for a while. To be called now and then. */
  async retireIdle(layers: Iterable<LayerState>): Promise<void> {
    if (this.#replicated) return;
    const before = this.#time.elapsedMs() - RETIRE_IDLE_MS;
    for (const layer of layers) {
      if (layer.active.size > 0) await this.#retire(layer, (object) => object.writtenAt <= before);
    }
  }

  /** Retires all that can be, for a disk that is closed in order. */
  async retireAll(layers: Iterable<LayerState>): Promise<void> {
    if (this.#replicated) return;
    for (const layer of layers) {
      while ((await this.#retire(layer, () => true)) > 0);
    }
  }

  /** Retires at most a batch of those that `chosen` picks, the oldest first; answers how many. */
  async #retire(layer: LayerState, chosen: (object: ActiveObject) => boolean): Promise<number> {
    const retired: ActiveObject[] = [];
    for (const object of layer.active.values()) {
      if (!layer.retirable(object) || !chosen(object)) continue;
      retired.push(object);
      if (retired.length === RETIRE_BATCH) break;
    }
    if (retired.length === 0) return 0;
    await this.#index.commit(() => {
      for (const object of retired) this.retireWithin(layer, object);
    });
    return retired.length;
  }
}

/** An active object of which nothing is under way. */
function newActive(
  index: number,
  { vdi, generation, sequence }: WriteOrder,
  modified: number,
  touched: number,
): ActiveObject {
  return {
    index,
    vdi,
    generation,
    sequence,
    modified,
    raised: false,
    outstanding: 0,
    touched,
    writtenAt: 0,
    retired: false,
  };
}

/** A write is sent to the object. Copied, for the caller's object may hold more than is to be kept. */
export function noteOrder(active: ActiveObject, order: WriteOrder): void {
  if (order.vdi === 0 || (order.vdi === active.vdi && !isLater(order, active))) return;
  active.vdi = order.vdi;
  active.generation = order.generation;
  active.sequence = order.sequence;
}
