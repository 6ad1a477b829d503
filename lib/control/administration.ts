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

/**
 * `draining` gives its data to others and takes no more; `removing` does so too, and is to leave for good. `down` is not
 * there, whatever else is wanted of it.
 */
export type HostState = 'up' | 'down' | 'draining' | 'removing';

export interface HostStatus {
  id: string;
  name: string;
  /** Hosts of one zone may fail together: no two copies are put in one. */
  zone: string;
  state: HostState;
  /** Whether it is the host that answers. */
  local: boolean;
  /** Where it is reached, `HOST:PORT`. */
  addresses: string[];
  /** Release that it runs, and where the images are mounted on it; null where it has not told. */
  version: string | null;
  mount: string | null;
  /** As it told last. */
  disks: DiskStatus[];
}

/** How far one disk is with what it has to catch up with. */
export interface DiskRecovery {
  /** Its name. */
  host: string;
  disk: number;
  /** Groups that are not complete yet. */
  groups: number;
  /** Objects still to be looked at and copied, of the groups whose lists are known; and done since its daemon started. */
  objectsLeft: number;
  objectsDone: number;
  /** Copied since its daemon started. */
  bytesDone: number;
  /** Of the last ten seconds. */
  bytesPerSecond: number;
  /** Null while it cannot be told. */
  secondsLeft: number | null;
}

export interface RecoveryStatus extends Recovery {
  disks: DiskRecovery[];
}

/** What a host of a cluster needs to become one. */
export interface Token {
  token: string;
  /** ISO 8601. */
  expires: string;
  /** For so many hosts; null: any number. */
  uses: number | null;
}

/** A host that is given up although groups may have their only complete copy there: what may be lost with it. */
export interface ForcedRemoval {
  /** Groups that go on with an older copy, or an empty one. */
  groups: number;
  /** By image, at most so many of its objects. */
  images: { name: string; objects: number }[];
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
  /** Served, with fewer complete copies than there are to be; and of those, the ones with a single copy. */
  degraded: number;
  single: number;
  /** Nobody is there who has everything: guests wait. */
  stopped: number;
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

  /** With how far each disk is that catches up. */
  recovery(): Promise<RecoveryStatus>;
  /**
   * Makes what another host needs to join, for `ttlSeconds` and so many hosts. Answers null where the daemon has to start
   * anew for it, as this was a host alone: ask again, until it is there.
   */
  token(options: { ttlSeconds?: number; uses?: number }): Promise<Token | null>;

  /** By name. */
  nodeList(): Promise<HostStatus[]>;
  /** `which` is a name or an id. The host gives its data away, and takes no more until it is told `undrain`. */
  nodeDrain(which: string): Promise<WorkStatus>;
  nodeUndrain(which: string): Promise<void>;
  /** Moves everything off a host, or copies it anew where that one is down, then lets it go for good. */
  nodeRemove(which: string): Promise<WorkStatus>;
  /** Gives a host up for ever that is down, with what only it had. */
  nodeForceRemove(which: string): Promise<ForcedRemoval>;

  /** Of this host. */
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
