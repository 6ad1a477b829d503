/**
 * What a file system implements to be mounted. Both backends, the kernel protocol and fuse-native, speak to this
 * interface alone.
 *
 * Node ids and handles are chosen by the file system. They must mean the same to a later process that takes over the
 * same mount, so they come from what is stored. Root is node 1.
 *
 * An operation answers by resolving, and fails by throwing an OperationError (any other error answers EIO and is
 * logged). One that is absent answers ENOSYS.
 */

export const ROOT_NODE = 1;

export interface Timestamp {
  /** Whole seconds since 1970. */
  seconds: number;
  nanoseconds: number;
}

export interface Attributes {
  node: number;
  /** Bytes. */
  size: number;
  /** 512-byte units, as st_blocks. */
  blocks: number;
  /** File type and permission bits, as st_mode. */
  mode: number;
  links: number;
  uid: number;
  gid: number;
  atime: Timestamp;
  mtime: Timestamp;
  ctime: Timestamp;
}

/** Who asks, and what may be known of the request. */
export interface Context {
  uid: number;
  gid: number;
  pid: number;
  /**
   * The kernel's number of the request, the same when it is sent again. 0 where the backend has none (fuse-native).
   */
  unique: bigint;
  /** The request may have been carried out before by a worker that died (FUSE_NOTIFY_RESEND). */
  resent: boolean;
  /** Aborted when the caller was interrupted; an operation that waits (setlk with wait) then fails with EINTR. */
  signal: InterruptSignal;
}

/** The little of AbortSignal that is needed, made only when an operation asks for it. */
export interface InterruptSignal {
  readonly aborted: boolean;
  onAbort(listener: () => void): void;
}

export interface SetAttributes {
  size?: number;
  mode?: number;
  uid?: number;
  gid?: number;
  /** 'now' is the time of the call. */
  atime?: Timestamp | 'now';
  mtime?: Timestamp | 'now';
}

export interface Opened {
  /** A safe integer. */
  handle: number;
}

export interface DirectoryEntry {
  name: string;
  node: number;
  /** Position after this entry, never 0; what a later readdir starts from. */
  cookie: number;
  attributes: Attributes;
}

export interface FilesystemStatistics {
  /** Bytes of a block; the counts below are in it. */
  blockSize: number;
  blocks: number;
  blocksFree: number;
  blocksAvailable: number;
  files: number;
  filesFree: number;
  nameLengthMax: number;
}

export type LockType = 'read' | 'write' | 'unlock';

export interface LockRange {
  /** First byte and last byte, inclusive; Number.MAX_SAFE_INTEGER or above stands for the end of every file. */
  start: number;
  end: number;
}

export interface LockRequest extends LockRange {
  type: LockType;
  /** The kernel's lock owner, 64 bits. */
  owner: bigint;
  pid: number;
  /** True for flock(2), false for POSIX and OFD locks. */
  flock: boolean;
  /** Wait until the lock can be had. */
  wait: boolean;
}

export interface HeldLock extends LockRange {
  type: LockType;
  pid: number;
}

/** FALLOC_FL_* bits of fallocate(2). */
export const FALLOC_KEEP_SIZE = 0x01;
export const FALLOC_PUNCH_HOLE = 0x02;
export const FALLOC_ZERO_RANGE = 0x10;

export const SEEK_DATA = 3;
export const SEEK_HOLE = 4;

/** Bits of rename2(2). */
export const RENAME_NOREPLACE = 1;
export const RENAME_EXCHANGE = 2;

/** The bit of XATTR_CREATE and XATTR_REPLACE in setxattr(2). */
export const XATTR_CREATE = 1;
export const XATTR_REPLACE = 2;

export interface Operations {
  lookup(parent: number, name: string, context: Context): Promise<Attributes>;
  getattr(node: number, handle: number | null, context: Context): Promise<Attributes>;
  setattr(node: number, handle: number | null, changes: SetAttributes, context: Context): Promise<Attributes>;
  /** `mode` holds the file type too; the caller's umask is already applied. */
  mknod(parent: number, name: string, mode: number, context: Context): Promise<Attributes>;
  mkdir(parent: number, name: string, mode: number, context: Context): Promise<Attributes>;
  unlink(parent: number, name: string, context: Context): Promise<void>;
  rmdir(parent: number, name: string, context: Context): Promise<void>;
  rename(
    parent: number,
    name: string,
    newParent: number,
    newName: string,
    flags: number,
    context: Context,
  ): Promise<void>;
  create(
    parent: number,
    name: string,
    flags: number,
    mode: number,
    context: Context,
  ): Promise<{ attributes: Attributes; opened: Opened }>;
  open(node: number, flags: number, context: Context): Promise<Opened>;
  /**
   * Reads into `buffer`, whose length is what the caller asked for, and answers how many bytes it holds; fewer only at
   * the end of the file. `flags` are the open file's (O_DIRECT).
   */
  read(node: number, handle: number, offset: number, buffer: Buffer, flags: number): Promise<number>;
  /** `data` belongs to the callee until it answers. Answers the bytes written. */
  write(node: number, handle: number, offset: number, data: Buffer, flags: number): Promise<number>;
  /** Called at each close(2); `owner` is whose POSIX locks end. */
  flush(node: number, handle: number, owner: bigint, context: Context): Promise<void>;
  fsync(node: number, handle: number, dataOnly: boolean, context: Context): Promise<void>;
  release(node: number, handle: number, owner: bigint | null, context: Context): Promise<void>;
  /**
   * Entries whose cookie follows `after` (0: from the start), at least one if there is any; the backend cuts. "." and
   * ".." may be among them.
   */
  readdir(node: number, after: number, context: Context): Promise<DirectoryEntry[]>;
  fsyncdir(node: number, context: Context): Promise<void>;
  statfs(context: Context): Promise<FilesystemStatistics>;
  getxattr(node: number, name: string, context: Context): Promise<Uint8Array>;
  setxattr(node: number, name: string, value: Uint8Array, flags: number, context: Context): Promise<void>;
  listxattr(node: number, context: Context): Promise<string[]>;
  removexattr(node: number, name: string, context: Context): Promise<void>;
  fallocate(
    node: number,
    handle: number,
    mode: number,
    offset: number,
    length: number,
    context: Context,
  ): Promise<void>;
  lseek(node: number, handle: number, offset: number, whence: number, context: Context): Promise<number>;
  /** Answers how many bytes were copied: 0 at the end of the source. */
  copyFileRange(
    source: { node: number; handle: number; offset: number },
    target: { node: number; handle: number; offset: number },
    length: number,
    context: Context,
  ): Promise<number>;
  /** Answers the first lock that stands in the way, or null. */
  getlk(node: number, handle: number, lock: LockRequest, context: Context): Promise<HeldLock | null>;
  setlk(node: number, handle: number, lock: LockRequest, context: Context): Promise<void>;
}
