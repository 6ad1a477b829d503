import { type ClusterMap, isDiskUp, isSource } from '../cluster/cluster-map.js';
import type { Inquiries } from './inquiries.js';
import type { FenceAnswer } from './messages.js';
import type { Chain } from './object-io.js';
import { type UnequalObject, unequalObjects } from './unequal.js';
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
  pgOf(family: number, index: number): number;
}

/** Whom a fence has asked, and what they know. */
export interface FenceFindings {
  readonly map: ClusterMap;
  readonly unequal: readonly UnequalObject[];
  /** Groups of the map that have nobody who has answered and whose copy is complete: what differs there nobody has told. */
  readonly unheard: readonly number[];
}

/**
 * Ends older generations of an image's writer. The new generation is stored first, the map read after that, and every
 * host that is up in it adopts the generation and answers with what may differ: whoever comes up after that map knows no
 * older one.
 */
export class Fence {
  readonly #options: FenceOptions;
  /** Of the map that was read. */
  #epoch = 0;
  #generation = 0;
  /** Disks that have answered, under this generation. */
  readonly #heard = new Set<number>();
  #hasHeardAll = true;

  constructor(options: FenceOptions) {
    this.#options = options;
  }

  /** To be called when the generation is stored. Null where the store does not answer, or a later one is known. */
  async findings(generation: number, incarnation: number): Promise<FenceFindings | null> {
    const map = await this.#options.refreshMap().catch(() => null);
    if (!map) return null;
    this.#epoch = map.epoch;
    this.#generation = generation;
    this.#heard.clear();
    this.#hasHeardAll = false;
    const unequal = await this.ask(map, generation, incarnation);
    return unequal && { map, unequal, unheard: this.#unheardGroups(map) };
  }

  #unheardGroups({ tables }: ClusterMap): number[] {
    const unheard: number[] = [];
    for (const [pg, group] of (tables[this.#options.copies] ?? []).entries()) {
      if (!group.insync.some((disk) => isSource(group, disk) && this.#heard.has(disk))) unheard.push(pg);
    }
    return unheard;
  }

  /** The role is held without a fence: whoever had it has left nothing that differs. */
  skip(): void {
    this.#hasHeardAll = true;
  }

  /** What may differ as far as the hosts know that are up; null where one knows a later generation. */
  async ask(map: ClusterMap, generation: number, incarnation: number): Promise<UnequalObject[] | null> {
    const { inquiries, vdi, copies, pgOf } = this.#options;
    const hosts = Object.keys(map.hosts).filter((host) => map.hosts[host]!.up);
    const message = {
      ...({ type: 'fence', epoch: map.epoch, vdi, generation, incarnation, copies } as const),
      chain: this.#options.chain(),
    };
    const replies = await Promise.all(
      hosts.map((host) => inquiries.ask(host, (request) => ({ ...message, request }), true).answer),
    );
    // A host that is not up any more answers nobody, and comes back without an older generation.
    if (replies.some((reply) => reply?.refusal)) return null;
    const answers = replies.flatMap((reply) => (reply?.body as FenceAnswer | undefined)?.disks ?? []);
    if (generation === this.#generation) for (const { disk } of answers) this.#heard.add(disk);
    return unequalObjects(map, copies, answers, pgOf);
  }

  /**
   * Whether every disk has answered that has a copy by this map, and had one before the fence: what one knows that has
   * not is not known to be equal, or done. Who joined since makes itself equal.
   */
  hasHeardAll(map: ClusterMap): boolean {
    this.#hasHeardAll ||= this.#unheard(map).next().done === true;
    return this.#hasHeardAll;
  }

  /** Whether a disk can be asked by this map that has not answered. */
  hearsMoreBy(map: ClusterMap): boolean {
    if (this.hasHeardAll(map)) return false;
    for (const disk of this.#unheard(map)) if (isDiskUp(map, disk)) return true;
    return false;
  }

  *#unheard(map: ClusterMap): Generator<number> {
    for (const { acting, insync, joined } of map.tables[this.#options.copies] ?? []) {
      for (const disk of acting.length > 0 ? acting : insync) {
        if (!this.#heard.has(disk) && (joined?.[disk] ?? 0) <= this.#epoch) yield disk;
      }
    }
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
