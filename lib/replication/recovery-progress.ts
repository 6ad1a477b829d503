import type { Clock } from '../cluster/clock.js';

/** What the rate is measured over. */
const WINDOW_MS = 10_000;
/** Parts of the window, each with a sum. */
const PARTS = 10;

/** How far the recovery of one disk is; plain data. */
export interface RecoveryProgress {
  readonly disk: number;
  /** Groups that are not complete yet. */
  readonly groups: number;
  /** Of them those of which it is not known yet what they lack. */
  readonly groupsUnlisted: number;
  /** Indexes that are still to be pulled, of the groups that are listed. */
  readonly indexesLeft: number;
  /** Pulled by this process. */
  readonly indexesDone: number;
  readonly bytesDone: number;
  /** Of the last ten seconds. */
  readonly bytesPerSecond: number;
  /** Until what is listed is done, at the present rate; null where nothing moves, or some groups are not listed. */
  readonly secondsLeft: number | null;
}

/** Counts what is pulled. */
export class PullMeter {
  readonly #clock: Clock;
  readonly #parts: { partMs: number; bytes: number; indexes: number }[] = [];
  indexes = 0;
  bytes = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  pulled(bytes: number): void {
    this.indexes++;
    this.bytes += bytes;
    const partMs = this.#partOf(this.#clock.elapsedMs());
    let part = this.#parts.at(-1);
    if (part?.partMs !== partMs) {
      part = { partMs, bytes: 0, indexes: 0 };
      this.#parts.push(part);
      if (this.#parts.length > PARTS) this.#parts.shift();
    }
    part.bytes += bytes;
    part.indexes++;
  }

  progress(disk: number, groups: number, groupsUnlisted: number, indexesLeft: number): RecoveryProgress {
    const firstMs = this.#partOf(this.#clock.elapsedMs() - WINDOW_MS);
    const recent = this.#parts.filter(({ partMs }) => partMs > firstMs);
    const seconds = WINDOW_MS / 1000;
    const bytesPerSecond = recent.reduce((sum, { bytes }) => sum + bytes, 0) / seconds;
    const indexesPerSecond = recent.reduce((sum, { indexes }) => sum + indexes, 0) / seconds;
    const isKnown = groupsUnlisted === 0 && (indexesPerSecond > 0 || indexesLeft === 0);
    const secondsLeft = isKnown ? (indexesLeft === 0 ? 0 : indexesLeft / indexesPerSecond) : null;
    const { indexes: indexesDone, bytes: bytesDone } = this;
    return { disk, groups, groupsUnlisted, indexesLeft, indexesDone, bytesDone, bytesPerSecond, secondsLeft };
  }

  #partOf(ms: number): number {
    return Math.floor(ms / (WINDOW_MS / PARTS));
  }
}
