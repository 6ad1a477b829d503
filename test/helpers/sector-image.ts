const SECTOR_BYTES = 512;

interface Sector {
  /** What the last flush left, and every write since, the newest last; not those under way. */
  values: number[];
  /** Writes under way. */
  running: number[];
}

/** What an image may show, sector by sector; each is filled with one byte. */
export class SectorImage {
  readonly #sectors = new Map<string, Sector>();

  /** A write begins; what is answered ends it. */
  begin(index: number, offset: number, length: number, byte: number): () => void {
    const sectors: Sector[] = [];
    for (let at = offset; at < offset + length; at += SECTOR_BYTES) {
      // A whole object that is discarded has sectors that nobody looks at.
      const sector = length > 1024 * 1024 ? this.#sectors.get(`${index} ${at}`) : this.#sector(index, at);
      if (sector) sectors.push(sector);
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
      const { values, running } = this.#sector(index, offset + at);
      const bytes = shown.subarray(at, at + SECTOR_BYTES);
      const byte = bytes[0]!;
      const allowed = [...(power ? values : values.slice(-1)), ...running];
      if (!allowed.includes(byte) || bytes.some((other) => other !== byte)) {
        throw new Error(
          `${index}+${offset + at} shows ${byte}, not one of ${allowed}${power ? ' after a reboot' : ''}`,
        );
      }
      // Without a power cut it may still be lost in the next.
      this.#sectors.set(`${index} ${offset + at}`, {
        values: power ? [byte] : [...values, ...running, byte],
        running: [],
      });
    }
  }

  #sector(index: number, at: number): Sector {
    const key = `${index} ${at}`;
    let sector = this.#sectors.get(key);
    if (!sector) {
      sector = { values: [0], running: [] };
      this.#sectors.set(key, sector);
    }
    return sector;
  }
}
