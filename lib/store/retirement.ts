import type { Disk } from './disk.js';
import type { Key } from './entry.js';
import type { WriteOrder } from './write-order.js';

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
export type RetireObjects = (disk: Disk, objects: Iterable<Retirement>) => Promise<number>;

/** Active objects that the image wrote to, in the order of layers and of activation. */
export type ActiveOfVdi = (disk: Disk, vdi: number) => ActiveEntry[];

/** Active objects of these layers of a family, whoever wrote to them. */
export type ActiveOfLayers = (disk: Disk, family: number, layers: Iterable<number>) => ActiveEntry[];
