import { type ModelWrite, SectorHistory } from './sector-history.js';
import { SECTOR_BYTES, stampOf } from './stamps.js';

interface PendingRead {
  readonly start: number;
  readonly end: number;
  /** Writes that began since the read did. */
  readonly since: ModelWrite[];
}

/** What an image may show, sector by sector, by what its guests did and were told. */
export class ImageModel {
  readonly #sectors = new Map<number, SectorHistory>();
  readonly #initial: ModelWrite = {
    ...{ number: 0, owner: null, discard: true, offset: 0, length: 0 },
    ...{ invoked: 0, acknowledged: 0, ended: 0, flushed: true, losable: false },
  };
  readonly #writes = new Map<number, ModelWrite>();
  /** Acknowledged, and not flushed. */
  readonly #unflushed = new Set<ModelWrite>();
  readonly #reads = new Set<PendingRead>();
  #time = 0;

  begin(owner: object, offset: number, length: number, discard: boolean): ModelWrite {
    const write: ModelWrite = {
      ...{ number: this.#writes.size + 1, owner, discard, offset, length, invoked: ++this.#time },
      ...{ acknowledged: null, ended: null, flushed: false, losable: false },
    };
    this.#writes.set(write.number, write);
    for (const sector of sectorsOf(offset, length)) {
      let history = this.#sectors.get(sector);
      if (!history) {
        history = new SectorHistory(this.#initial);
        this.#sectors.set(sector, history);
      }
      history.begin(write);
    }
    for (const read of this.#reads) if (read.start < offset + length && offset < read.end) read.since.push(write);
    return write;
  }

  /** `losable`: what acknowledged it may not have known yet that its group lost what was not flushed. */
  acknowledge(write: ModelWrite, losable: boolean): void {
    write.acknowledged = ++this.#time;
    write.ended = write.acknowledged;
    write.losable = losable;
    this.#unflushed.add(write);
    for (const sector of sectorsOf(write.offset, write.length)) this.#sectors.get(sector)!.acknowledged(write);
  }

  /** Nobody is left who could carry it out. */
  end(write: ModelWrite): void {
    write.ended ??= ++this.#time;
  }

  /** To be told when a flush begins that covers these guests' writes; what is answered, when it was answered. */
  beginFlush(covers: (write: ModelWrite) => boolean): () => void {
    const covered = [...this.#unflushed].filter(covers);
    return () => {
      for (const write of covered) {
        if (write.flushed) continue;
        write.flushed = true;
        this.#unflushed.delete(write);
        for (const sector of sectorsOf(write.offset, write.length)) this.#sectors.get(sector)!.flushed(write);
        write.losable = false;
      }
    };
  }

  /** Every copy of these sectors' group lost its power. Answers acknowledged writes that may be gone. */
  lose(isLost: (offset: number) => boolean): Set<ModelWrite> {
    const time = ++this.#time;
    const losable = new Set<ModelWrite>();
    for (const [sector, history] of this.#sectors) {
      if (!isLost(sector * SECTOR_BYTES)) continue;
      for (const write of history.lose(time)) losable.add(write);
    }
    return losable;
  }

  /** To be told when a read begins; what is answered checks what it has returned. Throws where that cannot be. */
  beginRead(reader: object | null, offset: number, length: number): (data: Buffer) => void {
    const allowed = new Map<number, readonly ModelWrite[]>();
    const began = ++this.#time;
    const initially = [this.#initial];
    for (const sector of sectorsOf(offset, length)) {
      allowed.set(sector, this.#sectors.get(sector)?.possible(reader) ?? initially);
    }
    const pending: PendingRead = { start: offset, end: offset + length, since: [] };
    this.#reads.add(pending);
    return (data) => {
      this.#reads.delete(pending);
      for (const [sector, before] of allowed) {
        const history = this.#sectors.get(sector);
        const at = sector * SECTOR_BYTES;
        const since = pending.since.filter((write) => write.offset <= at && at < write.offset + write.length);
        const possible = new Set([...before, ...(history?.possible(reader) ?? []), ...since]);
        const stamp = stampOf(data, at - offset, at);
        const shown = [...possible].filter((write) => stampFor(write) === stamp);
        if (shown.length === 0) throw new Error(this.#complaint(sector, stamp, possible));
        if (shown.length === 1) history?.shown(shown[0]!, began);
      }
    };
  }

  /** Sectors that were written, not only discarded: first and behind the last of each run. */
  writtenRanges(): { start: number; end: number }[] {
    const sectors = new Set<number>();
    for (const { discard, offset, length } of this.#writes.values()) {
      if (!discard) for (const sector of sectorsOf(offset, length)) sectors.add(sector);
    }
    const ranges: { start: number; end: number }[] = [];
    for (const sector of [...sectors].sort((a, b) => a - b)) {
      const last = ranges.at(-1);
      if (last?.end === sector * SECTOR_BYTES) last.end += SECTOR_BYTES;
      else ranges.push({ start: sector * SECTOR_BYTES, end: (sector + 1) * SECTOR_BYTES });
    }
    return ranges;
  }

  #complaint(sector: number, stamp: number | null, possible: Iterable<ModelWrite>): string {
    const shown = stamp === null ? 'something that was never written there' : describe(stamp, this.#writes.get(stamp));
    const wanted = [...possible].map((write) => describe(stampFor(write), write)).join(', ');
    return `sector ${sector} shows ${shown}; it may show ${wanted}`;
  }
}

function stampFor({ discard, number }: ModelWrite): number {
  return discard ? 0 : number;
}

function describe(stamp: number, write: ModelWrite | undefined): string {
  if (stamp === 0) return write && write.number > 0 ? `zeros (discard ${write.number})` : 'zeros';
  if (!write) return `write ${stamp}`;
  const state = write.flushed ? 'flushed' : write.acknowledged !== null ? 'acknowledged' : 'not acknowledged';
  return `write ${stamp} (${state}${write.losable ? ', may be lost' : ''})`;
}

function* sectorsOf(offset: number, length: number): Generator<number> {
  for (let at = offset; at < offset + length; at += SECTOR_BYTES) yield at / SECTOR_BYTES;
}
