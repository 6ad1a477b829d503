/**
 * Whether a disk takes new data: `ample` all of it; `scarce`, the first write to an object preallocates it whole; `none`,
 * the writer refuses writes to objects that are not whole.
 */
export type Room = 'ample' | 'scarce' | 'none';

/** A disk that the host has open. */
export interface OpenDisk {
  readonly number: number;
  /** What the disk itself says of how often it was opened. */
  readonly opens: number;
  /** Bytes that are free. */
  readonly free: number;
  readonly room: Room;
}

/** A host's heartbeat, `/alive/<id>`, which it renews every quarter of a TTL. */
export interface AliveRecord {
  /** Raised at each start of its worker and whenever it reads a map in which it is not up. */
  readonly incarnation: number;
  /** The kernel's. */
  readonly bootId: string;
  /** The epoch of the newest map it adopted, which is stored and never goes down. */
  readonly adopted: number;
  /** Differs from renewal to renewal, so that each is a change. */
  readonly counter: number;
  readonly disks: readonly OpenDisk[];
  /**
   * Hosts that are up and that it has no link to. Here, as the conductor may be one of them: what is sent to it would be
   * heard from its own side of the cut only.
   */
  readonly unreachable?: readonly string[];
}

/** What a heartbeat says of its host besides which one it is of. */
export type AliveState = Pick<AliveRecord, 'adopted' | 'disks' | 'unreachable'>;

export const ALIVE_PREFIX = '/alive/';
/** A key below it stops the host of that name from renewing: it is being thrown out. */
export const EVICT_PREFIX = '/evict/';

export function aliveKey(id: string): string {
  return `${ALIVE_PREFIX}${id}`;
}

export function evictKey(id: string): string {
  return `${EVICT_PREFIX}${id}`;
}
