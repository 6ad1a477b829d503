import type { ActiveObject, LayerState } from './layer-state.js';
import type { PulledFiles } from './replaced.js';

/** An object's file while it has a descriptor. There is one for a serial at any time. */
export class OpenFile {
  readonly fd: number;
  readonly path: string;
  readonly pg: number;
  readonly family: number;
  readonly index: number;
  readonly serial: number;
  /** The layer that the object belongs to; changes when a merge gives it to another. */
  layer: LayerState;
  /** The object's activity record where it has one. A write needs it. */
  active: ActiveObject | null = null;
  /** Operations that use the descriptor now. It is not closed before they end. */
  users = 0;
  /** Written to since it was last synced. Such a descriptor stays open, or the error of a failed write-back is lost. */
  dirty = false;
  /** Whether its space was measured since it was last written to. */
  measured = true;
  /** Its name may not be on disk yet. */
  fresh = false;
  /** The index marks it unsynced. */
  unsynced = false;
  /** A pull put it in place, and is to be told when it is on disk or given up. */
  pulled: PulledFiles | null = null;
  /** Known to have all the blocks of an object, so that no write can run out of space. */
  whole = false;
  /** The index has it no more: to be closed when nobody uses it. */
  forgotten = false;

  constructor(fd: number, path: string, pg: number, family: number, index: number, serial: number, layer: LayerState) {
    this.fd = fd;
    this.path = path;
    this.pg = pg;
    this.family = family;
    this.index = index;
    this.serial = serial;
    this.layer = layer;
  }

  /** Whether its descriptor may be closed. */
  get idle(): boolean {
    return this.users === 0 && !this.dirty;
  }
}
