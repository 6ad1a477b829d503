/** A write or discard as its guest saw it. */
export interface ModelWrite {
  readonly number: number;
  /** The guest that it is of; null: what was there from the start. */
  readonly owner: object | null;
  /** Zeros instead of data. */
  readonly discard: boolean;
  readonly offset: number;
  readonly length: number;
  /** In the order of everything that the model was told. */
  readonly invoked: number;
  /** When it was acknowledged; null while it is not, and for ever where its guest died. */
  acknowledged: number | null;
  /** From when on it takes no effect that it has not had: it was acknowledged, or whoever carried it out is no more. */
  ended: number | null;
  /** Whether a flush that began after it was acknowledged has been answered. */
  flushed: boolean;
  /** It was acknowledged, and its group restarted from a copy that may lack it. */
  losable: boolean;
}

/**
 * What one sector of an image may show. A write that had ended before another one began is over once that other is
 * acknowledged. One that was never acknowledged may show until then, or never. Where a group restarts from a copy that
 * lost its power, whatever was not over by a flushed write may show again; but then one of it, for good.
 */
export class SectorHistory {
  /** What a power cut of every copy may leave: the last that is durable, and everything since that one. */
  #all: ModelWrite[];
  /** What a read may show. */
  #current: ModelWrite[];
  #lostAt: number | null = null;

  /** One of these it shows at first, for good. */
  constructor(initial: readonly ModelWrite[]) {
    this.#all = [...initial];
    this.#current = [...initial];
  }

  /** It may show one of these as well from now on. */
  mayShow(others: readonly ModelWrite[]): void {
    for (const write of others) {
      if (!this.#all.includes(write)) this.#all.push(write);
      if (!this.#current.includes(write)) this.#current.push(write);
    }
  }

  begin(write: ModelWrite): void {
    this.#all.push(write);
    this.#current.push(write);
  }

  acknowledged(write: ModelWrite): void {
    if (!write.losable) this.#current = this.#current.filter((each) => !isOver(each, write));
  }

  flushed(write: ModelWrite): void {
    this.#all = this.#all.filter((each) => !isOver(each, write));
    this.#current = this.#current.filter((each) => !isOver(each, write));
    // It was said to be durable: whatever was shown meanwhile.
    if (write.losable && !this.#current.includes(write)) this.#current.push(write);
  }

  /** Every copy lost its power. Answers acknowledged writes that may be gone. */
  lose(time: number): ModelWrite[] {
    const losable = this.#all.filter(({ acknowledged, flushed }) => acknowledged !== null && !flushed);
    for (const write of losable) write.losable = true;
    this.#current = [...this.#all];
    this.#lostAt = time;
    return losable;
  }

  /** What a read that begins or ends now may show; to a guest, never what it wrote over. */
  possible(reader: object | null): readonly ModelWrite[] {
    const own = this.#all.filter(({ owner, losable }) => losable && owner === reader);
    if (own.length === 0) return this.#current;
    return this.#current.filter((write) => !own.some((later) => isOver(write, later)));
  }

  /** A read that began at `began` has shown this write: later ones do not show what it has ruled out. */
  shown(write: ModelWrite, began: number): void {
    if (this.#current.length === 1 || !this.#current.includes(write)) return;
    const lostAt = this.#lostAt;
    if (lostAt !== null && lostAt > began) return;
    const isSettled = ({ acknowledged, ended }: ModelWrite) =>
      (acknowledged !== null && acknowledged < began) || (lostAt !== null && ended !== null && ended < lostAt);
    if (!isSettled(write)) return;
    const gone = this.#current.filter((each) => each !== write && isSettled(each));
    this.#current = this.#current.filter((each) => !gone.includes(each));
    this.#all = this.#all.filter((each) => !(gone.includes(each) && isOver(write, each)));
  }
}

/** Whether `later` came after `write` had ended. */
function isOver(write: ModelWrite, later: ModelWrite): boolean {
  return write !== later && later.acknowledged !== null && write.ended !== null && write.ended < later.invoked;
}
