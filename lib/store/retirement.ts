import { RETIRE_BATCH } from './constants.js';
import type { Disk } from './disk.js';
import { type Key, NOTHING } from './entry.js';
import type { ActiveObject, LayerState } from './layer-state.js';
import { isLater, type WriteOrder } from './write-order.js';

/*
 * Activity where there are other copies (`replicated` of DiskOptions): the writer decides when an object is retired, and
 * the disk does not do so by itself. Writes carry their place in the writer's order (the last parameter of tryWrite,
 * writeObject, discardObject, cutObject, allocateObject), which is remembered for each active object.
 */

/** An active object, and the last write to it that this disk was sent. */
export interface ActiveEntry extends Key, WriteOrder {
  /** Epoch of the last write, or the group's later `since`. */
  readonly modified: number;
}

/** An object to be retired, and the last write that the retirement covers. */
export interface Retirement extends Key {
  readonly generation: number;
  readonly sequence: number;
}

/**
 * Retires those objects that took no later write than the retirement covers, and have none under way; ignores the rest.
 * Answers how many there were. Survives the process when it resolves.
 */
export async function retireObjects(disk: Disk, objects: Iterable<Retirement>): Promise<number> {
  const chosen: Retirement[] = [];
  for (const object of objects) if (retirable(disk, object)) chosen.push(object);
  let retired = 0;
  for (let start = 0; start < chosen.length; start += RETIRE_BATCH) {
    await disk.index.commit(() => {
      for (const object of chosen.slice(start, start + RETIRE_BATCH)) {
        // Looked at again: a write may have come while the batch before was committed.
        const active = retirable(disk, object);
        if (!active) continue;
        disk.activity.retireWithin(disk.layer(object.family, object.layer), active);
        retired++;
      }
    });
  }
  return retired;
}

function retirable(disk: Disk, object: Retirement): ActiveObject | null {
  const active = disk.layers.get(object.family, object.layer)?.active.get(object.index);
  return active && active.outstanding === 0 && !isLater(active, object) ? active : null;
}

/** Active objects that the image wrote to, in the order of layers and of activation. */
export function activeOfVdi(disk: Disk, vdi: number): ActiveEntry[] {
  const found: ActiveEntry[] = [];
  for (const state of disk.layers.values()) {
    for (const active of state.active.values()) if (active.vdi === vdi) found.push(entryOf(state, active));
  }
  return found;
}

/** Active objects of these layers of a family, whoever wrote to them. */
export function activeOfLayers(disk: Disk, family: number, layers: Iterable<number>): ActiveEntry[] {
  const found: ActiveEntry[] = [];
  for (const layer of layers) {
    const state = disk.layers.get(family, layer);
    if (state) for (const active of state.active.values()) found.push(entryOf(state, active));
  }
  return found;
}

function entryOf({ family, layer }: LayerState, active: ActiveObject): ActiveEntry {
  const { index, vdi, generation, sequence, modified } = active;
  return { family, index, layer, vdi, generation, sequence, modified };
}

/**
 * Forgets that objects of a layer are active which the index has nothing of (any more): for a layer that is deleted, when
 * its objects are.
 */
export async function forgetActivity(disk: Disk, family: number, layer: number): Promise<void> {
  const state = disk.layers.get(family, layer);
  if (!state) return;
  const gone = [...state.active.values()].filter(({ index }) => disk.index.find(family, index, layer) === NOTHING);
  if (gone.length === 0) return;
  await disk.index.commit(() => {
    for (const active of gone) disk.activity.retireWithin(state, active);
  });
}
