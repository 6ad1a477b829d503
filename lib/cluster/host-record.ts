import type { DiskStanding, Standing } from './cluster-map.js';

/** A disk as `/hosts/<id>` has it. The number is unique in the cluster and never used again. */
export interface HostDiskRecord {
  readonly number: number;
  /** Bytes that it may hold: its share of the groups goes by this. */
  readonly weight: number;
  readonly standing: DiskStanding;
  /**
   * How often it was opened. Raised by each open, durably on the disk first and then here, so a disk that shows a lower
   * one is an old image of itself.
   */
  readonly opens: number;
  /**
   * The incarnation of the host that opened it last. What an earlier one still says of it proves nothing, and one that
   * closes and opens a disk while it runs leaves it out of a heartbeat in between.
   */
  readonly openedBy?: number;
}

/** What the cluster knows of a host whether it is up or not: `/hosts/<id>`. */
export interface HostRecord {
  readonly id: string;
  readonly name: string;
  /** Hosts of one zone may fail together: a group has at most one copy in it. */
  readonly zone: string;
  /** What the administrator wants of it; `out` was told to leave for good. */
  readonly standing: Standing;
  readonly disks: readonly HostDiskRecord[];
  /** Its identity on the network, in hexadecimal. */
  readonly publicKey: string;
  /** `HOST:PORT`, where it was reached last. */
  readonly addresses: readonly string[];
  /** Given up by force: neither this id nor a disk of it ever comes back. */
  readonly banned: boolean;
  /** Numbers of disks that were given up by force and never come back. */
  readonly bannedDisks: readonly number[];
}

export const HOSTS_PREFIX = '/hosts/';

export function hostKey(id: string): string {
  return `${HOSTS_PREFIX}${id}`;
}
