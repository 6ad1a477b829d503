import { type ModelWrite, SectorHistory } from './sector-history.js';
import { SECTOR_BYTES, stampOf } from './stamps.js';

interface PendingRead {
  readonly start: number;
  readonly end: number;
  /** Writes that began since the read did. */
  readonly since: ModelWrite[];
}

/** By sector, what an image may show: one of these, for good. */
export type Candidates = ReadonlyMap<number, readonly ModelWrite[]>;

/** Writes of all images of a world: what one shows may be another's, of which it is a clone. */
export class WriteNumbers {
  #last = 0;

  next(): number {
    return ++this.#last;
  }
}

const SETTLED = { owner: null, invoked: 0, acknowledged: 0, ended: 0, flushed: true, losable: false } as const;
const INITIAL: ModelWrite = { ...SETTLED, number: 0, discard: true, offset: 0, length: 0 };
const NOTHING: readonly ModelWrite[] = [INITIAL];

/** What an image may show, sector by sector, by what its guests did and were told. */
export class ImageModel {
  readonly #sectors = new Map<number, SectorHistory>();
  readonly #numbers: WriteNumbers;
  readonly #writes = new Map<number, ModelWrite>();
  /** Acknowledged, and not flushed. */
  readonly #unflushed = new Set<ModelWrite>();
  readonly #reads = new Set<PendingRead>();
  /**
   * Discards of so much that not every sector of them has a history. One that gets its history later gets them then, in
   * their order; nothing else was known of it, and all that it showed was zeros.
   */
  #wide: ModelWrite[] = [];
  #time = 0;

  /** Of an image that shows this at first. */
  constructor(numbers: WriteNumbers, initial: Candidates = new Map()) {
    this.#numbers = numbers;
    this.#become(initial);
  }

  /** What it may show at some moment from now until the answer is called. */
  capture(): () => Candidates {
    const before = new Map([...this.#sectors].map(([sector, history]) => [sector, history.possible(null)]));
    const pending: PendingRead = { start: 0, end: Number.POSITIVE_INFINITY, since: [] };
    this.#reads.add(pending);
    return () => {
      this.#reads.delete(pending);
      const found = new Map<number, ModelWrite[]>();
      for (const [sector, history] of this.#sectors) {
        const at = sector * SECTOR_BYTES;
        const since = pending.since.filter(({ offset, length }) => offset <= at && at < offset + length);
        const possible = new Set([...(before.get(sector) ?? NOTHING), ...since, ...history.possible(null)]);
        found.set(
          sector,
          [...possible].map((write) => ({ ...write, ...SETTLED })),
        );
      }
      return found;
    };
  }

  /** It is being rolled back to this, or may be. */
  mayBecome(candidates: Candidates): void {
    for (const sector of new Set([...candidates.keys(), ...this.#sectors.keys()])) {
      this.#history(sector).mayShow(candidates.get(sector) ?? NOTHING);
    }
    this.#know(candidates);
  }

  /** It was rolled back to this; nothing else was going on. */
  become(candidates: Candidates): void {
    for (const sector of this.#sectors.keys()) this.#sectors.set(sector, new SectorHistory(NOTHING));
    this.#unflushed.clear();
    this.#wide = [];
    this.#become(candidates);
  }

  #become(candidates: Candidates): void {
    for (const [sector, writes] of candidates) this.#sectors.set(sector, new SectorHistory(writes));
    this.#know(candidates);
  }

  #know(candidates: Candidates): void {
    for (const writes of candidates.values()) for (const write of writes) this.#writes.set(write.number, write);
  }

  #history(sector: number): SectorHistory {
    let history = this.#sectors.get(sector);
    if (!history) {
      history = new SectorHistory(NOTHING);
      this.#sectors.set(sector, history);
      for (const wide of this.#wide) if (covers(wide, sector)) catchUp(history, wide);
    }
    return history;
  }

  /** Of the sectors of a write. */
  #historiesOf(write: ModelWrite): SectorHistory[] {
    if (!isWide(write)) return [...sectorsOf(write.offset, write.length)].map((sector) => this.#history(sector));
    return [...this.#sectors].filter(([sector]) => covers(write, sector)).map(([, history]) => history);
  }

  begin(owner: object, offset: number, length: number, discard: boolean): ModelWrite {
    const write: ModelWrite = {
      ...{ number: this.#numbers.next(), owner, discard, offset, length, invoked: ++this.#time },
      ...{ acknowledged: null, ended: null, flushed: false, losable: false },
    };
    this.#writes.set(write.number, write);
    for (const history of this.#historiesOf(write)) history.begin(write);
    if (isWide(write)) this.#wide.push(write);
    for (const read of this.#reads) if (read.start < offset + length && offset < read.end) read.since.push(write);
    return write;
  }

  /** `losable`: what acknowledged it may not have known yet that its group lost what was not flushed. */
  acknowledge(write: ModelWrite, losable: boolean): void {
    write.acknowledged = ++this.#time;
    write.ended = write.acknowledged;
    write.losable = losable;
    this.#unflushed.add(write);
    for (const history of this.#historiesOf(write)) history.acknowledged(write);
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
        for (const history of this.#historiesOf(write)) history.flushed(write);
        write.losable = false;
      }
    };
  }

  /** A cut: everything from `offset` on is zeros for good, also where nothing was written yet. */
  beginCut(owner: object, offset: number): ModelWrite {
    const last = Math.max(0, ...this.#sectors.keys());
    return this.begin(owner, offset, Math.max(0, (last + 1) * SECTOR_BYTES - offset), true);
  }

  /** What was acknowledged is durable at once. */
  settle(write: ModelWrite): void {
    this.acknowledge(write, false);
    this.#unflushed.delete(write);
    write.flushed = true;
    for (const history of this.#historiesOf(write)) history.flushed(write);
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
    // Of each sector, in their order.
    const allowed: (readonly ModelWrite[])[] = [];
    const began = ++this.#time;
    for (let at = offset; at < offset + length; at += SECTOR_BYTES) {
      allowed.push(this.#sectors.get(at / SECTOR_BYTES)?.possible(reader) ?? NOTHING);
    }
    const pending: PendingRead = { start: offset, end: offset + length, since: [] };
    this.#reads.add(pending);
    return (data) => {
      this.#reads.delete(pending);
      for (let number = 0; number < allowed.length; number++) {
        const before = allowed[number]!;
        const at = offset + number * SECTOR_BYTES;
        const sector = at / SECTOR_BYTES;
        const history = this.#sectors.get(sector);
        const stamp = stampOf(data, at - offset, at);
        const now = history?.possible(reader) ?? NOTHING;
        // Most often there is one thing that it can show.
        const isPlain = pending.since.length === 0 && now.length === 1 && before.length === 1 && now[0] === before[0];
        if (isPlain && stampFor(now[0]!) === stamp) continue;
        const since = pending.since.filter((write) => covers(write, sector));
        const possible = new Set([...before, ...now, ...since]);
        const shown = [...possible].filter((write) => stampFor(write) === stamp);
        if (shown.length === 0) throw new Error(this.#complaint(sector, stamp, possible));
        if (shown.length === 1) history?.shown(shown[0]!, began);
      }
    };
  }

  /** Sectors that something is known of: first and behind the last of each run. */
  writtenRanges(): { start: number; end: number }[] {
    const ranges: { start: number; end: number }[] = [];
    for (const sector of [...this.#sectors.keys()].sort((a, b) => a - b)) {
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

/** Of at least so many bytes, discards are kept apart. */
const WIDE_BYTES = 1024 ** 2;

function isWide({ discard, length }: ModelWrite): boolean {
  return discard && length >= WIDE_BYTES;
}

function covers({ offset, length }: ModelWrite, sector: number): boolean {
  return offset <= sector * SECTOR_BYTES && sector * SECTOR_BYTES < offset + length;
}

function catchUp(history: SectorHistory, write: ModelWrite): void {
  history.begin(write);
  if (write.acknowledged !== null) history.acknowledged(write);
  if (write.flushed) history.flushed(write);
}

function* sectorsOf(offset: number, length: number): Generator<number> {
  for (let at = offset; at < offset + length; at += SECTOR_BYTES) yield at / SECTOR_BYTES;
}
