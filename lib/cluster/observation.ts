import type { Room } from './alive-record.js';

/** What `nextMap` is told besides the records of the hosts: what the conductor saw itself, and what members report. */

/** What the conductor has itself seen of one host's `/alive`; all durations in milliseconds on its own clock. */
export interface Observed {
  readonly incarnation: number;
  readonly bootId: string;
  /** The epoch of the newest map that the host says it adopted. */
  readonly adopted: number;
  /** The disks it has open, by number. */
  readonly disks: Readonly<Record<number, ObservedDisk>>;
  /** Since the conductor first saw the present value. A full TTL of it, and the host answers nobody any more. */
  readonly unchangedMs: number;
  /** At least so long ago the host stored the present value; null where the conductor saw no change of it yet. */
  readonly renewedMs: number | null;
  /** Since the map has the host down; 0 while it has it up. */
  readonly downMs: number;
  /** Whether `/evict/<id>` is there. */
  readonly evicted: boolean;
  /** Hosts that it says it cannot reach. */
  readonly unreachable: readonly string[];
  /** Since its disks are kept out, as it starts over and over; null for a host that does not. */
  readonly keptOutMs: number | null;
}

export interface ObservedDisk {
  /** What the disk itself says of how often it was opened. */
  readonly opens: number;
  /** Since the conductor first saw this incarnation of the host with the disk open. */
  readonly openMs: number;
  /** Ample unless told otherwise. */
  readonly room?: Room;
}

/** A member has everything on disk. Counts only where everything it names is what the map says. */
export interface InSyncReport {
  readonly type: 'in-sync';
  /** The table of groups, by number of copies. */
  readonly copies: number;
  readonly pg: number;
  readonly disk: number;
  readonly incarnation: number;
  /** The epoch in which it joined `acting`. */
  readonly joined: number;
}

/** A disk failed: an I/O error, or an operation that did not end. */
export interface DiskFailedReport {
  readonly type: 'disk-failed';
  readonly disk: number;
  /** Of the host, so that an old report says nothing of a disk that came back. */
  readonly incarnation: number;
}

/** `host`, which reaches the store, cannot reach `peer`: its heartbeat says so. */
export interface Unreachable {
  readonly host: string;
  readonly incarnation: number;
  readonly peer: string;
}

/** A host that was thrown out reaches these hosts again. */
export interface ReachesReport {
  readonly type: 'reaches';
  readonly host: string;
  readonly peers: readonly string[];
}

/** Members repeat a report until the map shows it: a conductor that takes over knows none. */
export type Report = InSyncReport | DiskFailedReport | ReachesReport;

export interface NextMapOptions {
  /** Time to live of a host's heartbeat. */
  readonly ttlMs: number;
  /** So long a host may be down before its data is replicated again elsewhere. */
  readonly outAfterMs: number;
  /** The same for a group that has only one copy to write to. */
  readonly loneCopyMs: number;
  /** So long a group that only rebooted members could restart waits for the others. */
  readonly restartAfterMs: number;
  /** Groups that move at a time. */
  readonly movesMax: number;
  /** Placement groups of a table. */
  readonly pgs: number;
  /** The redundancies in use: each has a table of groups. */
  readonly copies: readonly number[];
}

export const NEXT_MAP_DEFAULTS: NextMapOptions = {
  ttlMs: 4000,
  outAfterMs: 1000 * 60 * 10, // 10 min
  loneCopyMs: 1000 * 30, // 30 s
  restartAfterMs: 1000 * 30, // 30 s
  movesMax: 16,
  pgs: 1024,
  copies: [3],
};
