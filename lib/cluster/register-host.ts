import type { Coordination } from '../coordination/coordination.js';
import { changeHost } from './change-host.js';
import type { HostDiskRecord, HostRecord } from './host-record.js';

/** A disk that the host has just opened. */
export interface OpenedDisk {
  readonly number: number;
  /** Bytes that it may hold. */
  readonly weight: number;
  /** What the disk itself says of how often it was opened, this time included. */
  readonly opens: number;
}

/** What a host says of itself. */
export type HostSelf = Pick<HostRecord, 'id' | 'name' | 'zone' | 'publicKey' | 'addresses'>;

/**
 * Tells the cluster what this host is and which disks it has open, before its first heartbeat of this incarnation. What
 * the cluster knows of its disks (one failed, one is being removed) stays. Rejects as the store does; to be repeated with
 * the same `incarnation`, for an attempt whose answer was lost must not look like one by an earlier open.
 */
export function registerHost(
  coordination: Coordination,
  self: HostSelf,
  incarnation: number,
  opened: readonly OpenedDisk[],
): Promise<HostRecord> {
  return changeHost(coordination, self.id, (before) => withOpened(before, self, incarnation, opened));
}

/** The record of a host that has opened disks. Pure. */
export function withOpened(
  before: HostRecord | null,
  self: HostSelf,
  incarnation: number,
  opened: readonly OpenedDisk[],
): HostRecord {
  const disks = new Map<number, HostDiskRecord>(before?.disks.map((disk) => [disk.number, disk]));
  for (const { number, weight, opens } of opened) {
    const known = disks.get(number);
    // An open that is not counted above the one before is of an old image of the disk: the heartbeat, which tells the
    // disk's own count, then shows a lower one than is on record.
    const isOld = known !== undefined && known.openedBy !== incarnation && opens <= known.opens;
    const count = isOld ? known.opens + 1 : Math.max(opens, known?.opens ?? 0);
    disks.set(number, { number, weight, standing: known?.standing ?? 'in', opens: count, openedBy: incarnation });
  }
  const { standing = 'in', banned = false, bannedDisks = [] } = before ?? {};
  return { ...self, standing, banned, bannedDisks, disks: [...disks.values()] };
}
