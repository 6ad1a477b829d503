import { LRUCache } from 'lru-cache';
import type { ClusterMap } from '../cluster/cluster-map.js';
import type { RoomUse } from '../store/object-room.js';
import type { Change } from './messages.js';
import type { Chain } from './object-io.js';
import type { Writer } from './writer.js';

/** Indexes that are known to need no room; of one that was forgotten the members are asked again. */
const INDEXES_MAX = 4096;

/** A change was refused before it was sent anywhere: a disk that has a copy has no room for it. */
export class NoSpaceError extends Error {
  readonly code = 'ENOSPC';

  constructor(disks: readonly number[]) {
    super(`disk ${disks.join(', ')} is full: add a disk, or delete images or snapshots`);
    this.name = 'NoSpaceError';
  }
}

export interface SpaceGuardContext {
  readonly copies: number;
  map(): ClusterMap;
  /** Whether the disk has no room: by its own word if it is of this host, else by the map. */
  isFull(disk: number): boolean;
  pgOf(family: number, index: number): number;
}

/**
 * Refuses changes, before they are sent, that need room on a disk which has none. All of the group's members
 * would else apply them, but for that one.
 */
export class SpaceGuard {
  readonly #context: SpaceGuardContext;
  /** Of which writer it knows anything: another one may have changed everything meanwhile. */
  #writer: Writer | null = null;
  /** Made when there is something to know: it has its whole size at once, and hardly an image ever needs it. */
  #known: LRUCache<string, true> | null = null;

  constructor(context: SpaceGuardContext) {
    this.#context = context;
  }

  /** Null where nothing is in the way of the change; else to be awaited first. Rejects with NoSpaceError. */
  before(writer: Writer, chain: Chain, index: number, change: Change): Promise<void> | null {
    if (this.#writer !== writer) {
      this.#writer = writer;
      this.#known?.clear();
    }
    const use = useOf(change);
    const { layer } = chain.layers[0]!;
    // What gives space back, in whole or in part, may have to ask for it again.
    if (use !== 'write' && this.#known) this.#known.delete(keyOf('write', layer, index));
    if (use === null) return null;
    const full = this.#fullDisks(chain.family, index);
    if (full.length === 0 || this.#known?.has(keyOf(use, layer, index))) return null;
    return this.#ask(writer, chain, index, use, full);
  }

  async #ask(writer: Writer, chain: Chain, index: number, use: RoomUse, disks: readonly number[]): Promise<void> {
    const answers = await Promise.all(disks.map((disk) => writer.look(chain, index, { kind: 'room', use }, disk)));
    // Of those that lack it still: while they were asked there may have come a newer map.
    const full = this.#fullDisks(chain.family, index);
    const lacking = disks.filter((disk, at) => answers[at]?.get(disk) === true && full.includes(disk));
    if (lacking.length > 0) throw new NoSpaceError(lacking);
    // A disk that is no member any more need not have any.
    if (use !== 'write' || this.#writer !== writer) return;
    this.#known ??= new LRUCache({ max: INDEXES_MAX });
    this.#known.set(keyOf(use, chain.layers[0]!.layer, index), true);
  }

  #fullDisks(family: number, index: number): number[] {
    const map = this.#context.map();
    const { acting } = map.tables[this.#context.copies]?.[this.#context.pgOf(family, index)] ?? { acting: [] };
    return acting.filter((disk) => this.#context.isFull(disk));
  }
}

/** Null where the change needs no room, or must not be refused. */
function useOf({ kind }: Change): RoomUse | null {
  if (kind === 'write' || kind === 'allocate') return 'write';
  return kind === 'discard' ? kind : null;
}

function keyOf(use: RoomUse, layer: number, index: number): string {
  return `${use}/${layer}/${index}`;
}
