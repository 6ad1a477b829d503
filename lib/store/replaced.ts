import type { BinaryTable } from '../database/environment.js';
import { HOLE, type Key, NOTHING, OBJECT } from './entry.js';
import type { ActiveObject, LayerState } from './layer-state.js';
import type { Place } from './object-create.js';
import type { ObjectIndex } from './object-index.js';
import type { OpenFile } from './open-file.js';
import { decodeReplaced, encodeReplaced, type ReplacedLayer } from './replaced-record.js';
import { NO_ORDER } from './write-order.js';

/** What of a disk it works with. */
export interface ReplacedParts {
  readonly index: ObjectIndex;
  readonly files: { dispose(pg: number, family: number, index: number, serial: number): void };
  readonly activity: { retireWithin(layer: LayerState, active: ActiveObject): void };
}

/** An object that is active here and was made equal to one that is not active at its source. */
export interface Equalled {
  readonly state: LayerState;
  readonly active: ActiveObject;
  /** Of its last write then: a later one keeps it active. */
  readonly generation: number;
  readonly sequence: number;
}

/**
 * What pulls replaced, kept until the files that they put in its place are on disk: a power cut before takes the index
 * back to what it was before the pull. Only what was synced since stays.
 *
 * Key: family, index (32 bits each). Value: see replaced-record.ts.
 */
export class Replaced {
  readonly #parts: ReplacedParts;
  readonly #table: BinaryTable;
  /** Of an earlier process, whose files are not known to be on disk. */
  #inherited: Buffer[] = [];
  readonly #settling = new Set<Promise<void>>();

  constructor(parts: ReplacedParts) {
    this.#parts = parts;
    this.#table = parts.index.table('replaced');
  }

  /** Within the commit of a pull: what the index had before. */
  putWithin(place: Place, layers: readonly ReplacedLayer[]): void {
    void this.#table.put(encodeIndex(place.family, place.index), encodeReplaced({ pg: place.pg, layers }));
  }

  /** Whether anything is kept for an index. */
  has(family: number, index: number): boolean {
    return this.#table.get(encodeIndex(family, index)) !== undefined;
  }

  /** Whether a file is kept for an index although the index does not have it. */
  keeps({ family, index }: Omit<Key, 'layer'>, serial: number): boolean {
    const bytes = this.#table.get(encodeIndex(family, index));
    return bytes !== undefined && decodeReplaced(bytes).layers.some((layer) => layer.before?.serial === serial);
  }

  /**
   * Within the commit that a disk is opened with after a reboot: puts back what was replaced by files that may be torn.
   * Answers the objects so treated, and the files that nothing refers to any more, to be disposed of after it.
   */
  putBackWithin(): { handled: (key: Key) => boolean; dispose: () => void } {
    const { index } = this.#parts;
    const unsynced = new Map(index.unsyncedObjects().map(({ key, serial }) => [nameOf(key), serial]));
    const handled = new Set<string>();
    const left: (() => void)[] = [];
    for (const { key, value } of this.#table.getRange()) {
      const [family, at] = [key.readUInt32BE(0), key.readUInt32BE(4)];
      const { pg, layers } = decodeReplaced(value);
      const isTorn = ({ layer, serial }: ReplacedLayer) =>
        serial > 0 &&
        unsynced.get(nameOf({ family, index: at, layer })) === serial &&
        index.find(family, at, layer) === OBJECT &&
        index.foundSerial === serial;
      const torn = layers.some(isTorn);
      for (const layer of layers) {
        const name = { family, index: at, layer: layer.layer };
        const putBack = torn && (layer.serial > 0 ? isTorn(layer) : isAsPulled(index, name, layer));
        if (putBack) {
          this.#putBack(name, layer.before);
          handled.add(nameOf(name));
        } else if (layer.before?.kind === OBJECT) {
          const { serial } = layer.before;
          left.push(() => this.#parts.files.dispose(pg, family, at, serial));
        }
      }
      void this.#table.remove(key);
    }
    const dispose = () => {
      for (const each of left) each();
    };
    return { handled: (key) => handled.has(nameOf(key)), dispose };
  }

  /** The object is recorded active: it may differ from all others. */
  #putBack({ family, index: at, layer }: Key, before: ReplacedLayer['before']): void {
    const { index } = this.#parts;
    if (!before) {
      index.remove(family, at, layer);
      return;
    }
    index.put(family, at, layer, before, before.blocks);
    index.unmarkUnsynced(family, at, layer);
    index.putActive(family, at, layer, { ...NO_ORDER, modified: before.modified });
  }

  /** At the opening of a disk that was not rebooted: its records wait for `settleInherited`. */
  inherit(): void {
    this.#inherited = [...this.#table.getKeys()];
  }

  /** What an earlier process put in place is on disk. */
  async settleInherited(): Promise<void> {
    if (this.#inherited.length === 0) return;
    const left: (() => void)[] = [];
    await this.#parts.index.commit(() => {
      for (const key of this.#inherited) {
        const bytes = this.#table.get(key);
        if (!bytes) continue;
        left.push(() => this.#dispose(key, bytes));
        void this.#table.remove(key);
      }
    });
    this.#inherited = [];
    for (const each of left) each();
  }

  /** The pull's files are on disk, or given up: what it replaced is needed no more, and what it made equal is equal. */
  settle(place: Place, equalled: readonly Equalled[]): Promise<void> {
    const settled = this.#settle(encodeIndex(place.family, place.index), equalled);
    this.#settling.add(settled);
    const end = () => this.#settling.delete(settled);
    settled.then(end, end);
    return settled;
  }

  async #settle(key: Buffer, equalled: readonly Equalled[]): Promise<void> {
    let bytes: Buffer | undefined;
    await this.#parts.index.commit(() => {
      bytes = this.#table.get(key);
      if (bytes) void this.#table.remove(key);
      for (const { state, active, generation, sequence } of equalled) {
        const unchanged = active.generation === generation && active.sequence === sequence;
        if (state.active.get(active.index) !== active || active.outstanding > 0 || !unchanged) continue;
        this.#parts.activity.retireWithin(state, active);
      }
    });
    if (bytes) this.#dispose(key, bytes);
  }

  #dispose(key: Buffer, bytes: Buffer): void {
    const { pg, layers } = decodeReplaced(bytes);
    for (const { before } of layers) {
      if (before?.kind !== OBJECT) continue;
      this.#parts.files.dispose(pg, key.readUInt32BE(0), key.readUInt32BE(4), before.serial);
    }
  }

  /** Resolves when nothing is being settled. */
  async idle(): Promise<void> {
    await Promise.all(this.#settling);
  }
}

/** Whether the layer has what the pull left of it without a file: nothing, or a hole. */
function isAsPulled(index: ObjectIndex, { family, index: at, layer }: Key, { hole }: ReplacedLayer): boolean {
  return index.find(family, at, layer) === (hole ? HOLE : NOTHING);
}

function encodeIndex(family: number, index: number): Buffer {
  const key = Buffer.allocUnsafe(8);
  key.writeUInt32BE(family, 0);
  key.writeUInt32BE(index, 4);
  return key;
}

function nameOf({ family, index, layer }: Key): string {
  return `${family} ${index} ${layer}`;
}

/** The files that a pull put in place and that are not on disk yet. */
export class PulledFiles {
  readonly #place: Place;
  readonly #replaced: Replaced;
  readonly #equalled: readonly Equalled[];
  readonly #files = new Set<OpenFile>();

  constructor(place: Place, replaced: Replaced, equalled: readonly Equalled[]) {
    this.#place = place;
    this.#replaced = replaced;
    this.#equalled = equalled;
  }

  /** To be called for all, before the first is settled. */
  add(file: OpenFile): void {
    this.#files.add(file);
    file.pulled = this;
  }

  /** The file is on disk, or of no more use. Resolves, where it was the last, when what they replaced is let go. */
  settle(file: OpenFile): Promise<void> | null {
    file.pulled = null;
    if (!this.#files.delete(file) || this.#files.size > 0) return null;
    return this.#replaced.settle(this.#place, this.#equalled);
  }
}
