import { strict as assert } from 'node:assert';

/** One disk's copy of one group. */
export interface Copy {
  /** It misses older writes, or some that were acknowledged without it. */
  lacks: boolean;
  version: number;
  flushed: number;
}

/** What a disk held once, and how often it had been opened then. */
export interface DiskImage {
  readonly opens: number;
  readonly copies: readonly Copy[];
}

/** What was acknowledged, group by group, and what each disk has of it: writes and flushes are a number each. */
export class MapCopies {
  acknowledged = 0;
  readonly #truth: { version: number; flushed: number }[];
  readonly #disks = new Map<number, Copy[]>();

  constructor(pgs: number) {
    this.#truth = Array.from({ length: pgs }, () => ({ version: 0, flushed: 0 }));
  }

  of(pg: number, disk: number): Copy {
    return this.#copiesOf(disk)[pg]!;
  }

  #copiesOf(disk: number): Copy[] {
    let copies = this.#disks.get(disk);
    if (!copies) {
      copies = this.#truth.map(({ version }) => ({ lacks: version > 0, version: 0, flushed: 0 }));
      this.#disks.set(disk, copies);
    }
    return copies;
  }

  /** A write is answered by these disks. */
  write(pg: number, members: readonly number[]): void {
    for (const disk of members) this.#copiesOf(disk);
    const version = ++this.#truth[pg]!.version;
    this.acknowledged++;
    for (const [disk, copies] of this.#disks) {
      if (members.includes(disk)) copies[pg]!.version = version;
      else copies[pg]!.lacks = true;
    }
  }

  flush(pg: number, members: readonly number[]): void {
    for (const disk of members) this.of(pg, disk).flushed = this.of(pg, disk).version;
    this.#truth[pg]!.flushed = this.#truth[pg]!.version;
  }

  recover(pg: number, disk: number, source: number): void {
    const { version, lacks } = this.of(pg, source);
    Object.assign(this.of(pg, disk), { version, lacks, flushed: version });
  }

  /** Its page cache is gone. */
  loseUnflushed(disk: number): void {
    for (const copy of this.#copiesOf(disk)) copy.version = Math.min(copy.version, copy.flushed);
  }

  imageOf(disk: number, opens: number): DiskImage {
    return { opens, copies: this.#copiesOf(disk).map(({ flushed }) => ({ lacks: true, version: flushed, flushed })) };
  }

  restore(disk: number, { copies }: DiskImage): void {
    this.#disks.set(
      disk,
      copies.map((copy) => ({ ...copy })),
    );
  }

  /** A copy restarts its group: what it has is what there is now. */
  restart(pg: number, disk: number): void {
    const copy = this.of(pg, disk);
    this.#truth[pg] = { version: copy.version, flushed: copy.flushed };
    for (const [other, copies] of this.#disks) if (other !== disk) copies[pg]!.lacks = true;
  }

  /** A copy that never was complete is taken for complete. */
  accept(pg: number, disk: number): void {
    this.of(pg, disk).lacks = false;
    this.restart(pg, disk);
  }

  hasFlushed(pg: number, disk: number): boolean {
    const copy = this.of(pg, disk);
    return !copy.lacks && copy.version >= this.#truth[pg]!.flushed;
  }

  isComplete(pg: number, disk: number): boolean {
    const copy = this.of(pg, disk);
    return !copy.lacks && copy.version === this.#truth[pg]!.version;
  }

  checkComplete(pg: number, disk: number, name: string): void {
    const state = JSON.stringify([this.of(pg, disk), this.#truth[pg]]);
    assert.ok(this.isComplete(pg, disk), `disk ${disk} is not complete ${state}: ${name}`);
  }
}
