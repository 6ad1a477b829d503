import { type Clock, pause } from '../cluster/clock.js';
import { hostKey } from '../cluster/host-record.js';
import { decodeHostRecord } from '../cluster/host-records.js';
import { isUnavailable } from '../cluster/patient-coordination.js';
import type { Compare, Coordination, Operation } from '../coordination/coordination.js';
import { gone } from './errors.js';
import { decodeRecord, encodeRecord, KEY } from './records.js';
import { Turns } from './turns.js';

/** Before a store that did not answer is asked again. */
const RETRY_MS = 300;

/** `/open/<vdi>`: hosts that have the image open. An image without a name keeps its data for them. */
interface OpenRecord {
  readonly hosts: readonly string[];
}

export interface OpenImagesOptions {
  readonly coordination: Coordination;
  readonly clock: Clock;
  readonly host: string;
  /** Whether a handle of the image is open on this host. */
  isOpen(vdi: number): boolean;
}

/** Tells the cluster which images this host has open, and knows which others have. */
export class OpenImages {
  readonly #options: OpenImagesOptions;
  readonly #told = new Set<number>();
  readonly #turns = new Turns();

  constructor(options: OpenImagesOptions) {
    this.#options = options;
  }

  /** Has the cluster know what is open on this host, and nothing else. Rejects as the store does. */
  async start(): Promise<void> {
    const { coordination, host, isOpen } = this.#options;
    for (const { key, value } of await coordination.range(KEY.opens)) {
      const vdi = Number(key.slice(KEY.opens.length));
      if (!decodeRecord<OpenRecord>(value).hosts.includes(host)) continue;
      if (isOpen(vdi)) this.#told.add(vdi);
      else await this.#change(vdi, (hosts) => hosts.filter((other) => other !== host));
    }
  }

  /** A handle of the image is open: resolves when no other host removes it any more. Throws VdiError ESTALE. */
  async opened(vdi: number): Promise<void> {
    if (this.#told.has(vdi)) return;
    await this.#turns.run(vdi, async () => {
      if (this.#told.has(vdi)) return;
      const { host } = this.#options;
      await this.#change(vdi, (hosts) => (hosts.includes(host) ? hosts : [...hosts, host]), true);
      this.#told.add(vdi);
    });
  }

  /** A handle was closed; where it was the last, the others need not know of it any more. */
  async closed(vdi: number): Promise<void> {
    const { host, isOpen } = this.#options;
    await this.#turns.run(vdi, async () => {
      if (isOpen(vdi) || !this.#told.delete(vdi)) return;
      await this.#change(vdi, (hosts) => hosts.filter((other) => other !== host));
    });
  }

  /** Null where another host has the image open; else what a transaction compares for that to be so still. */
  async closedElsewhere(vdi: number): Promise<Compare | null> {
    const { coordination, host } = this.#options;
    const key = KEY.open(vdi);
    const found = await coordination.get(key);
    const hosts = found ? decodeRecord<OpenRecord>(found.value).hosts : [];
    for (const other of hosts) if (other !== host && (await this.#isMember(other))) return null;
    return { key, modRevision: found?.modRevision ?? 0 };
  }

  /** One that was removed for good closes nothing any more. */
  async #isMember(host: string): Promise<boolean> {
    const found = await this.#options.coordination.get(hostKey(host));
    return found !== null && !decodeHostRecord(found.value).banned;
  }

  /** `mustExist`: throws VdiError ESTALE where there is no such image. */
  async #change(
    vdi: number,
    change: (hosts: readonly string[]) => readonly string[],
    mustExist = false,
  ): Promise<void> {
    const { coordination, clock } = this.#options;
    for (;;) {
      try {
        const key = KEY.open(vdi);
        const [found, image] = [await coordination.get(key), mustExist ? await coordination.get(KEY.vdi(vdi)) : null];
        if (mustExist && !image) throw gone(vdi);
        const before = found ? decodeRecord<OpenRecord>(found.value).hosts : [];
        const hosts = change(before);
        if (hosts === before) return;
        const put: Operation = hosts.length > 0 ? { put: key, value: encodeRecord({ hosts }) } : { delete: key };
        const compare: Compare[] = [{ key, modRevision: found?.modRevision ?? 0 }];
        if (image) compare.push({ key: KEY.vdi(vdi), createRevision: image.createRevision });
        if ((await coordination.transaction({ compare, success: [put] })).succeeded) return;
      } catch (error) {
        // Asked again: to have done it twice is the same.
        if (!isUnavailable(error)) throw error;
        await pause(clock, RETRY_MS);
      }
    }
  }
}
