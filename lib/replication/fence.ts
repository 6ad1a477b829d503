import type { ClusterMap } from '../cluster/cluster-map.js';
import type { UnequalObject } from './equalizer.js';
import type { Inquiries } from './inquiries.js';
import type { FenceAnswer } from './messages.js';
import type { Chain } from './object-io.js';
import type { WriterRecord } from './writer-record.js';

/** Why the role is taken: what only has to be made equal leaves its holder's handles alone. */
export type Purpose = 'write' | 'equalize';

export interface FenceOptions {
  readonly inquiries: Inquiries;
  readonly vdi: number;
  readonly copies: number;
  /** Reads the map from the store now. Rejects as the store does. */
  refreshMap(): Promise<ClusterMap>;
  /** What the image shows now. */
  chain(): Chain;
}

/** Whom a fence has asked, and what they know. */
export interface FenceFindings {
  readonly map: ClusterMap;
  readonly unequal: readonly UnequalObject[];
}

/**
 * Ends older generations of an image's writer. The new generation is stored first, the map read after that, and every
 * host that is up in it adopts the generation and answers with what may differ: whoever comes up after that map knows no
 * older one.
 */
export class Fence {
  readonly #options: FenceOptions;

  constructor(options: FenceOptions) {
    this.#options = options;
  }

  /** To be called when the generation is stored. Null where the store does not answer, or a later one is known. */
  async findings(generation: number, incarnation: number): Promise<FenceFindings | null> {
    const map = await this.#options.refreshMap().catch(() => null);
    const unequal = map && (await this.ask(map, generation, incarnation));
    return unequal && { map, unequal };
  }

  /** What every host that is up has active of the image; null where one knows a later generation. */
  async ask(map: ClusterMap, generation: number, incarnation: number): Promise<UnequalObject[] | null> {
    const { inquiries, vdi, copies } = this.#options;
    const hosts = Object.keys(map.hosts).filter((host) => map.hosts[host]!.up);
    const message = {
      ...({ type: 'fence', epoch: map.epoch, vdi, generation, incarnation, copies } as const),
      chain: this.#options.chain(),
    };
    const replies = await Promise.all(
      hosts.map((host) => inquiries.ask(host, (request) => ({ ...message, request })).answer),
    );
    const found = new Map<string, UnequalObject>();
    for (const reply of replies) {
      // A host that is not up any more answers nobody, and comes back without an older generation.
      if (!reply) continue;
      if (reply.refusal) return null;
      for (const { active } of (reply.body as FenceAnswer).disks) {
        for (const object of active) found.set(`${object.family}/${object.layer}/${object.index}`, object);
      }
    }
    return [...found.values()];
  }
}

/** What a fence stores for its new holder. `hasLost`: the holder's host may have acknowledged what its copies lack now. */
export function recordAfterFence(
  record: WriterRecord,
  next: NonNullable<WriterRecord['holder']>,
  purpose: Purpose,
  hasLost: boolean,
): WriterRecord {
  const { host } = next;
  const { holder } = record;
  const generation = record.generation + 1;
  const fenced = { ...record.fenced };
  // Of one that only made copies equal no guest has written since: its own handles are no newer than the owed ones.
  const from = record.owed ?? (holder?.host === host ? null : (holder?.host ?? null));
  const isOthers = from !== null && from !== host;
  if (purpose === 'write' && isOthers) fenced[from] = generation;
  if (purpose === 'write' && holder && holder.host !== host) fenced[holder.host] = generation;
  if (holder?.host === host && hasLost) fenced[host] = generation;
  const owed = purpose === 'equalize' && isOthers ? from : null;
  return { generation, holder: next, clean: false, fenced, owed };
}
