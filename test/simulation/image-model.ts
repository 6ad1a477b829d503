import { SECTOR_BYTES, stampOf } from './stamps.js';

/** A write or discard as its guest saw it. */
export interface ModelWrite {
  readonly number: number;
  /** Zeros instead of data. */
  readonly discard: boolean;
  readonly offset: number;
  readonly length: number;
  /** In the order of everything that the model was told. */
  readonly invoked: number;
  /** When it was acknowledged; null while it is not, and for ever where its guest died. */
  acknowledged: number | null;
  /** Whether a flush that began after it was acknowledged has been answered. */
  flushed: boolean;
}

/**
 * What an image may show: for each sector the writes that a read may return. A write that was acknowledged before another
 * one began is over once that other is acknowledged; one that was never acknowledged may show for ever, or never.
 */
export class ImageModel {
  readonly #sectors = new Map<number, ModelWrite[]>();
  readonly #initial: ModelWrite;
  #writes = new Map<number, ModelWrite>();
  #time = 0;
  #number = 0;

  constructor() {
    this.#initial = { number: 0, discard: true, offset: 0, length: 0, invoked: 0, acknowledged: 0, flushed: true };
  }

  begin(offset: number, length: number, discard: boolean): ModelWrite {
    const number = ++this.#number;
    const write = { number, discard, offset, length, invoked: ++this.#time, acknowledged: null, flushed: false };
    this.#writes.set(number, write);
    for (const sector of sectorsOf(offset, length)) {
      const writes = this.#sectors.get(sector);
      if (writes) writes.push(write);
      else this.#sectors.set(sector, [this.#initial, write]);
    }
    return write;
  }

  acknowledge(write: ModelWrite): void {
    write.acknowledged = ++this.#time;
    for (const sector of sectorsOf(write.offset, write.length)) {
      const writes = this.#sectors.get(sector)!;
      const left = writes.filter((each) => !isOver(each, write));
      this.#sectors.set(sector, left);
    }
  }

  /** To be told when a flush begins; what is answered, when it was answered. */
  beginFlush(): () => void {
    const covered = [...this.#writes.values()].filter(({ acknowledged, flushed }) => acknowledged !== null && !flushed);
    return () => {
      for (const write of covered) write.flushed = true;
    };
  }

  /** To be told when a read begins; what is answered checks what it has returned. Throws where that cannot be. */
  beginRead(offset: number, length: number): (data: Buffer) => void {
    const allowed = new Map<number, readonly ModelWrite[]>();
    const began = ++this.#time;
    for (const sector of sectorsOf(offset, length)) allowed.set(sector, this.#sectors.get(sector) ?? [this.#initial]);
    return (data) => {
      for (const [sector, before] of allowed) {
        const at = sector * SECTOR_BYTES - offset;
        const stamp = stampOf(data, at, sector * SECTOR_BYTES);
        const since = (this.#sectors.get(sector) ?? []).filter(({ invoked }) => invoked > began);
        const possible = [...before, ...since];
        if (stamp !== null && possible.some((write) => (write.discard ? 0 : write.number) === stamp)) continue;
        throw new Error(this.#complaint(sector, stamp, possible));
      }
    };
  }

  #complaint(sector: number, stamp: number | null, possible: readonly ModelWrite[]): string {
    const shown = stamp === null ? 'something that was never written there' : describe(stamp, this.#writes.get(stamp));
    const wanted = possible.map((write) => describe(write.discard ? 0 : write.number, write)).join(', ');
    return `sector ${sector} shows ${shown}; it may show ${wanted}`;
  }
}

/** Whether `later`, which is acknowledged, came after `write` was. */
function isOver(write: ModelWrite, later: ModelWrite): boolean {
  return write !== later && write.acknowledged !== null && write.acknowledged < later.invoked;
}

function describe(stamp: number, write: ModelWrite | undefined): string {
  if (stamp === 0) return write && write.number > 0 ? `zeros (discard ${write.number})` : 'zeros';
  return `write ${stamp}${write?.acknowledged ? '' : ' (not acknowledged)'}`;
}

function* sectorsOf(offset: number, length: number): Generator<number> {
  for (let at = offset; at < offset + length; at += SECTOR_BYTES) yield at / SECTOR_BYTES;
}
