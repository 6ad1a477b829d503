const SECTOR_BYTES = 512;
/** Of an object, and a sector of it at least. */
const SECTORS_PER_INDEX = 8192;
/** A sector of each byte. */
const FILLED = Array.from({ length: 256 }, (_, byte) => Buffer.alloc(SECTOR_BYTES, byte));

interface Sector {
  /** What the last flush left, and every write since, the newest last; not those under way. */
  values: number[];
  /** Writes under way. */
  running: number[];
}

/** What an image may show, sector by sector; each is filled with one byte. */
export class SectorImage {
  readonly #sectors = new Map<number, Sector>();

  /** A write begins; what is answered ends it. */
  begin(index: number, offset: number, length: number, byte: number): () => void {
    const first = keyOf(index, offset);
    const count = length / SECTOR_BYTES;
    const sectors: Sector[] = [];
    if (count === SECTORS_PER_INDEX) {
      // Most are never looked at.
      for (const [key, sector] of this.#sectors) if (key >= first && key < first + count) sectors.push(sector);
    } else {
      for (let key = first; key < first + count; key++) sectors.push(this.#sector(key));
    }
    for (const sector of sectors) sector.running.push(byte);
    return () => {
      for (const sector of sectors) {
        sector.running.splice(sector.running.indexOf(byte), 1);
        sector.values.push(byte);
      }
    };
  }

  /** A flush that began when nothing was under way has ended. */
  flushed(): void {
    for (const sector of this.#sectors.values()) sector.values.splice(0, sector.values.length - 1);
  }

  copy(): SectorImage {
    const copy = new SectorImage();
    for (const [key, { values }] of this.#sectors) copy.#sectors.set(key, { values: [...values], running: [] });
    return copy;
  }

  /**
   * What is shown has to be allowed: the newest or what was under way, and after a power cut anything since the last
   * flush. What is shown is what there is from now on, and what was under way never ends. Throws where it is not.
   */
  settle(index: number, offset: number, shown: Buffer, power: boolean): void {
    for (let at = 0; at < shown.length; at += SECTOR_BYTES) {
      const key = keyOf(index, offset + at);
      const sector = this.#sector(key);
      const { values, running } = sector;
      const byte = shown[at]!;
      const whole = shown.compare(FILLED[byte]!, 0, SECTOR_BYTES, at, at + SECTOR_BYTES) === 0;
      if (whole && running.length === 0 && values.length === 1 && values[0] === byte) continue;
      const allowed = [...(power ? values : values.slice(-1)), ...running];
      if (!allowed.includes(byte) || !whole) {
        throw new Error(
          `${index}+${offset + at} shows ${byte}, not one of ${allowed}${power ? ' after a reboot' : ''}`,
        );
      }
      // Without a power cut it may still be lost in the next.
      sector.values = power ? [byte] : [...new Set([...values, ...running])].filter((value) => value !== byte);
      if (!power) sector.values.push(byte);
      sector.running = [];
    }
  }

  #sector(key: number): Sector {
    let sector = this.#sectors.get(key);
    if (!sector) {
      sector = { values: [0], running: [] };
      this.#sectors.set(key, sector);
    }
    return sector;
  }
}

function keyOf(index: number, offset: number): number {
  return index * SECTORS_PER_INDEX + offset / SECTOR_BYTES;
}
