/**
 * What a daemon can be asked to do and to tell, apart from serving its mount. Everything that it answers can be written
 * as JSON as it is, and means the same on every host of a cluster.
 *
 * A method fails with an AdministrationError for what the user asked for wrongly or what cannot be done now; anything
 * else that it throws is a defect of ours and answers INTERNAL.
 */

export type AdministrationErrorCode =
  /** No image, disk or work of that name. */
  | 'NOT_FOUND'
  | 'EXISTS'
  /** Open by a guest, or otherwise needed. */
  | 'IN_USE'
  /** Would lose data, and was not told that this is wanted. */
  | 'WOULD_LOSE_DATA'
  /** The request makes no sense: a bad name, size or directory. */
  | 'INVALID'
  /** A request or a frame is longer than any that is right. */
  | 'TOO_LARGE'
  | 'NO_SPACE'
  /** Not now: other work is under way. */
  | 'BUSY'
  /** A stream ended before its end, or is malformed. */
  | 'BROKEN_STREAM'
  | 'SHUTTING_DOWN'
  | 'INTERNAL';

export class AdministrationError extends Error {
  readonly code: AdministrationErrorCode;
  /** What to do about it, in words that follow the message after a semicolon; null where there is nothing to say. */
  readonly hint: string | null;

  constructor(code: AdministrationErrorCode, message: string, hint: string | null = null) {
    super(message);
    this.name = 'AdministrationError';
    this.code = code;
    this.hint = hint;
  }
}

export type DiskState = 'ok' | 'adding' | 'removing' | 'full' | 'failed';

export interface DiskStatus {
  /** Unique in the cluster, never used again. */
  number: number;
  directory: string;
  /** Bytes that the disk's file system has, and that are in use on it by anything. 0 where it cannot be asked. */
  size: number;
  used: number;
  state: DiskState;
  /** Why it is not `ok`, in words, or null. */
  problem: string | null;
}

export interface HostStatus {
  id: string;
  name: string;
  state: 'up' | 'down';
  /** Where the images are mounted on it. */
  mount: string;
  disks: DiskStatus[];
}

export interface Capacity {
  /** Bytes of all disks that work, and what is in use and free of them. Copies are counted each. */
  size: number;
  used: number;
  free: number;
}

export interface GroupsStatus {
  total: number;
  /** Those with every copy they should have, in sync. */
  healthy: number;
  /** Those on their way to another disk. */
  moving: number;
}

export type ProgressUnit = 'bytes' | 'groups';

export interface Progress {
  done: number;
  total: number;
  unit: ProgressUnit;
  /** An estimate, null while there is none. */
  secondsLeft: number | null;
}

export interface Recovery extends Progress {
  active: boolean;
}

export interface Problem {
  severity: 'error' | 'warning';
  /** One line: what is wrong. */
  message: string;
  /** One line: what to do about it, or null when it passes by itself. */
  action: string | null;
}

export interface Status {
  /** Every group has all its copies in sync, and no host or disk is missing. */
  healthy: boolean;
  version: string;
  hosts: HostStatus[];
  capacity: Capacity;
  groups: GroupsStatus;
  recovery: Recovery;
  /** How many images there are. */
  vdis: number;
  problems: Problem[];
}

export interface ClusterInfo {
  id: string;
  /** ISO 8601. */
  created: string;
  /** Copies of each object of a new image, where there are as many hosts. */
  copies: number;
  groups: number;
  /** Bytes. */
  objectSize: number;
  hosts: number;
  disks: number;
  vdis: number;
}

export interface VdiInfo {
  name: string;
  /** Unique in the cluster, never used again. */
  number: number;
  /** Bytes that a guest sees. */
  size: number;
  /** Bytes that it takes, with its snapshots; what it shares with the image it was cloned from is counted there. */
  used: number;
  copies: number;
  /** Name of the image that it was cloned from, or null; also null when that is gone. */
  parent: string | null;
  /** ISO 8601. */
  created: string;
  modified: string;
  /** How many times it is open through the mount now. */
  opens: number;
}

export type WorkState = 'running' | 'done' | 'failed';

/** Work that belongs to the daemon and goes on whether somebody watches or not. */
export interface WorkStatus extends Progress {
  id: string;
  /** What it does, as it would be said of it running: "removing disk 3 (/mnt/b)". */
  title: string;
  state: WorkState;
  /** Why it failed; null unless it did. */
  error: { code: AdministrationErrorCode; message: string; hint: string | null } | null;
}

/** A piece of an image's content. */
export interface Extent {
  /** Bytes from the start of the image. */
  offset: number;
  /** Belongs to the receiver. Never empty, and at most EXTENT_BYTES_MAX. */
  data: Uint8Array;
}

export const EXTENT_BYTES_MAX = 4 * 1024 * 1024;

export interface VdiExport {
  /** Bytes of the image. */
  size: number;
  /** Bytes that `extents` will bring, as far as known; null when it is not. */
  used: number | null;
  /** Ascending, without overlap; what lies between reads as zeros. Closing it early frees what it holds. */
  extents: AsyncIterable<Extent>;
}

/**
 * An image on its way in. It has its name only from `finish` on; until then the name is merely kept from others.
 * Whoever started it calls exactly one of `finish` and `abort` last, `abort` also after any method failed. A daemon
 * that dies meanwhile forgets the image when it starts again.
 */
export interface VdiImport {
  /** Ascending, without overlap. `extent.data` belongs to the callee until it answers. */
  write(extent: Extent): Promise<void>;
  /** `size`: bytes of the whole image, at least the end of the last extent. What it answers for is durable. */
  finish(size: number): Promise<VdiInfo>;
  abort(): Promise<void>;
}

export interface Administration {
  status(): Promise<Status>;
  clusterInfo(): Promise<ClusterInfo>;
  /** Answers when the end has been decided on, which then follows. IN_USE where an image is open. */
  shutdown(options: { force: boolean }): Promise<void>;

  /** By name, in byte order. */
  vdiList(): Promise<VdiInfo[]>;
  vdiInfo(name: string): Promise<VdiInfo>;
  /** `size` in bytes. */
  vdiCreate(name: string, size: number, options: { copies?: number }): Promise<VdiInfo>;
  /** WOULD_LOSE_DATA where `size` is less than it is now, unless `shrink`. */
  vdiResize(name: string, size: number, options: { shrink: boolean }): Promise<VdiInfo>;
  /** IN_USE where it is open, unless `force`. */
  vdiDelete(name: string, options: { force: boolean }): Promise<void>;
  vdiClone(name: string, newName: string): Promise<VdiInfo>;
  /** The content at one moment where the image is not open; one that a guest writes to is read as it changes. */
  vdiExport(name: string): Promise<VdiExport>;
  /** `size`: bytes that are expected, where known, so that what cannot fit is refused at once. EXISTS, NO_SPACE. */
  vdiImport(name: string, options: { size?: number }): Promise<VdiImport>;

  diskList(): Promise<DiskStatus[]>;
  /**
   * Takes a directory into use and moves its share of the groups there. One that is being added already answers the
   * work that does so; EXISTS for one that is in use.
   */
  diskAdd(directory: string): Promise<WorkStatus>;
  /**
   * Moves everything off a disk, then lets it go. One that is being removed already answers the work that does so.
   * `disk` is its number or its directory. NO_SPACE where the others cannot take what it holds.
   */
  diskRemove(disk: number | string): Promise<WorkStatus>;

  /** The state now, then each change worth telling, and the last one when the work ends. Ends early on `signal`. */
  followWork(id: string, signal: AbortSignal): AsyncIterable<WorkStatus>;
}
