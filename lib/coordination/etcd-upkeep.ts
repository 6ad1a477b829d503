import { setTimeout as pause } from 'node:timers/promises';
import type { EtcdAdministration, EtcdMember, EtcdStatus } from './etcd-administration.js';

const INTERVAL_MS = 60_000;
/** Of a database that is worth the moment of silence, unless more than half of it is in use. */
const DEFRAGMENT_BYTES_MIN = 256 * 1024 * 1024;
/** Of the quota that may be taken, for all to take changes again. */
const SPACE_PART_MAX = 0.8;

export interface EtcdUpkeepOptions {
  administration: EtcdAdministration;
  /** Of the own member. */
  name: string;
  quotaBytes: number;
  say(message: string): void;
  defragmentBytesMin?: number;
}

/**
 * Keeps etcd's databases small: etcd throws old revisions away by itself, and uses the space again, but does not give
 * it back. Each host does so for its own member, one host at a time: the one whose database has most to give back,
 * while all others answer. And should space have run out all the same, it lets changes in again when there is some.
 */
export class EtcdUpkeep {
  readonly #options: EtcdUpkeepOptions;
  readonly #closing = new AbortController();
  readonly #running: Promise<void>;

  constructor(options: EtcdUpkeepOptions) {
    this.#options = options;
    this.#running = this.#run();
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#running;
  }

  /** One look, and what follows from it. Rejects as etcd does. */
  async check(): Promise<void> {
    const { administration, name, quotaBytes, say } = this.#options;
    const isOutOfSpace = await administration.isOutOfSpace();
    // In the same order for every host.
    const members = (await administration.members()).sort((a, b) => (a.id < b.id ? -1 : 1));
    const statuses = await Promise.all(members.map((member) => this.#statusOf(member)));
    const own = members.findIndex((member) => member.name === name);
    const before = statuses[own];
    // A member that is given its space back is silent for a moment, which does no more harm when none takes changes.
    if (!before || (!isOutOfSpace && statuses.includes(null))) return;
    const gains = statuses.map((status) => (status ? gainOf(status, isOutOfSpace) : -1));
    const isWorthIt = isOutOfSpace ? isFull(before, quotaBytes) : this.#isWorthIt(before);
    if (isWorthIt && gains.indexOf(Math.max(...gains)) === own) {
      await administration.defragment(members[own]!.clientUrls[0]!);
      const after = await administration.status(members[own]!.clientUrls[0]!);
      statuses[own] = after;
      say(`the database of etcd gave space back: it has ${after.databaseBytes} bytes, and had ${before.databaseBytes}`);
    }
    if (!isOutOfSpace || statuses.some((status) => status && isFull(status, quotaBytes))) return;
    await administration.endOutOfSpace();
    say('etcd had run out of space, and takes changes again');
  }

  #isWorthIt({ databaseBytes, usedBytes }: EtcdStatus): boolean {
    const bytesMin = this.#options.defragmentBytesMin ?? DEFRAGMENT_BYTES_MIN;
    return databaseBytes >= bytesMin && usedBytes < databaseBytes / 2;
  }

  /** Null when it does not answer. */
  async #statusOf({ clientUrls: [url] }: EtcdMember): Promise<EtcdStatus | null> {
    if (url === undefined) return null;
    return this.#options.administration.status(url).catch(() => null);
  }

  /** Never rejects. */
  async #run(): Promise<void> {
    const { signal } = this.#closing;
    for (;;) {
      await pause(INTERVAL_MS, undefined, { signal }).catch(() => undefined);
      if (signal.aborted) return;
      try {
        await this.check();
      } catch {
        // Some member does not answer: nothing is done until all do.
      }
    }
  }
}

/** What is in use is known only after later changes, of which there are none when space has run out. */
function gainOf({ databaseBytes, usedBytes }: EtcdStatus, isOutOfSpace: boolean): number {
  return isOutOfSpace ? databaseBytes : databaseBytes - usedBytes;
}

function isFull({ databaseBytes }: EtcdStatus, quotaBytes: number): boolean {
  return databaseBytes > SPACE_PART_MAX * quotaBytes;
}
