import { OperationError } from './errno.js';
import type { LockRequest, LockType, SetAttributes, Timestamp } from './operations.js';
import {
  F_RDLCK,
  F_WRLCK,
  FATTR,
  FSYNC_DATA_ONLY,
  GETATTR_FH,
  IN_HEADER_BYTES,
  LOCK_IS_FLOCK,
  OPCODE,
  RELEASE_FLOCK_UNLOCK,
} from './protocol.js';

/**
 * The requests as a table: for each opcode its name, the least length of its body and a decoder. A decoder copies what
 * it needs: the buffer is used again once it returns.
 *
 * Decoders throw OperationError EINVAL for what the kernel would never send (a name without its NUL, a number beyond
 * what is safe); the caller answers it.
 */

export interface RequestHeader {
  opcode: number;
  unique: bigint;
  node: number;
  uid: number;
  gid: number;
  pid: number;
}

/** Everything of one request behind its header. */
export class Body {
  readonly buffer: Buffer;
  position: number;
  readonly end: number;

  constructor(buffer: Buffer, start: number, end: number) {
    this.buffer = buffer;
    this.position = start;
    this.end = end;
  }

  u32(): number {
    this.#need(4);
    const value = this.buffer.readUInt32LE(this.position);
    this.position += 4;
    return value;
  }

  u64(): bigint {
    this.#need(8);
    const value = this.buffer.readBigUInt64LE(this.position);
    this.position += 8;
    return value;
  }

  /** A u64 that must be a safe integer: a node, a handle. */
  number(): number {
    const value = this.u64();
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new OperationError('EINVAL', `${value} is not a safe integer`);
    return Number(value);
  }

  /** A u64 file offset or length; what lies beyond the greatest image is EFBIG. */
  offset(): number {
    const value = this.u64();
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new OperationError('EFBIG');
    return Number(value);
  }

  /** A u64 that stands for "to the end" when it is very large. */
  clampedOffset(): number {
    const value = this.u64();
    return value > BigInt(Number.MAX_SAFE_INTEGER) ? Number.MAX_SAFE_INTEGER : Number(value);
  }

  skip(bytes: number): void {
    this.#need(bytes);
    this.position += bytes;
  }

  name(): string {
    const nul = this.buffer.indexOf(0, this.position);
    if (nul < 0 || nul >= this.end) throw new OperationError('EINVAL', 'name without its NUL');
    const bytes = this.buffer.subarray(this.position, nul);
    const name = bytes.toString('utf8');
    // Two byte strings that are not UTF-8 would decode to the same replacement characters: one file under two names.
    if (Buffer.byteLength(name) !== bytes.length || !Buffer.from(name).equals(bytes)) {
      throw new OperationError('EILSEQ', 'name is not UTF-8');
    }
    this.position = nul + 1;
    return name;
  }

  bytes(length: number): Buffer {
    this.#need(length);
    const copy = Buffer.from(this.buffer.subarray(this.position, this.position + length));
    this.position += length;
    return copy;
  }

  #need(bytes: number): void {
    if (this.position + bytes > this.end) throw new OperationError('EINVAL', 'request is cut short');
  }
}

function timestamp(seconds: bigint, nanoseconds: number): Timestamp {
  return { seconds: Number(BigInt.asIntN(64, seconds)), nanoseconds };
}

function decodeSetattr(body: Body): { handle: number | null; changes: SetAttributes } {
  const valid = body.u32();
  body.skip(4);
  const handle = body.u64();
  const size = body.u64();
  body.skip(8);
  const [atime, mtime] = [body.u64(), body.u64()];
  body.skip(8);
  const [atimeNanoseconds, mtimeNanoseconds] = [body.u32(), body.u32()];
  body.skip(4);
  const mode = body.u32();
  body.skip(4);
  const [uid, gid] = [body.u32(), body.u32()];
  const changes: SetAttributes = {};
  if (valid & FATTR.MODE) changes.mode = mode;
  if (valid & FATTR.UID) changes.uid = uid;
  if (valid & FATTR.GID) changes.gid = gid;
  if (valid & FATTR.SIZE) {
    if (size > BigInt(Number.MAX_SAFE_INTEGER)) throw new OperationError('EFBIG');
    changes.size = Number(size);
  }
  if (valid & FATTR.ATIME_NOW) changes.atime = 'now';
  else if (valid & FATTR.ATIME) changes.atime = timestamp(atime, atimeNanoseconds);
  if (valid & FATTR.MTIME_NOW) changes.mtime = 'now';
  else if (valid & FATTR.MTIME) changes.mtime = timestamp(mtime, mtimeNanoseconds);
  return { handle: valid & FATTR.FH ? Number(handle) : null, changes };
}

function decodeLock(body: Body): { handle: number; lock: Omit<LockRequest, 'wait'> } {
  const handle = body.number();
  const owner = body.u64();
  const start = body.clampedOffset();
  const end = body.clampedOffset();
  const kind = body.u32();
  const pid = body.u32();
  const flags = body.u32();
  const type: LockType = kind === F_RDLCK ? 'read' : kind === F_WRLCK ? 'write' : 'unlock';
  return { handle, lock: { owner, start, end, type, pid, flock: (flags & LOCK_IS_FLOCK) !== 0 } };
}

function decodeCopy(body: Body) {
  return {
    handle: body.number(),
    offset: body.offset(),
    targetNode: body.number(),
    targetHandle: body.number(),
    targetOffset: body.offset(),
    length: body.clampedOffset(),
    flags: body.clampedOffset(),
  };
}

function decodeReaddir(body: Body) {
  const handle = body.number();
  const after = body.number();
  return { handle, after, size: body.u32() };
}

/** What is known of one opcode; `size` is the least length of its body in bytes. */
export interface RequestKind<Decoded> {
  name: string;
  opcode: number;
  size: number;
  decode(body: Body): Decoded;
}

function kind<Decoded>(name: keyof typeof OPCODE, size: number, decode: (body: Body) => Decoded): RequestKind<Decoded> {
  return { name, opcode: OPCODE[name], size, decode };
}

export const REQUEST = {
  lookup: kind('LOOKUP', 1, (body) => ({ name: body.name() })),
  getattr: kind('GETATTR', 16, (body) => {
    const flags = body.u32();
    body.skip(4);
    const handle = body.u64();
    return { handle: flags & GETATTR_FH ? Number(handle) : null };
  }),
  setattr: kind('SETATTR', 88, decodeSetattr),
  mknod: kind('MKNOD', 17, (body) => {
    const mode = body.u32();
    body.skip(12);
    return { mode, name: body.name() };
  }),
  mkdir: kind('MKDIR', 9, (body) => {
    const mode = body.u32();
    body.skip(4);
    return { mode, name: body.name() };
  }),
  unlink: kind('UNLINK', 1, (body) => ({ name: body.name() })),
  rmdir: kind('RMDIR', 1, (body) => ({ name: body.name() })),
  rename: kind('RENAME', 10, (body) => ({
    newParent: body.number(),
    flags: 0,
    name: body.name(),
    newName: body.name(),
  })),
  rename2: kind('RENAME2', 18, (body) => {
    const newParent = body.number();
    const flags = body.u32();
    body.skip(4);
    return { newParent, flags, name: body.name(), newName: body.name() };
  }),
  create: kind('CREATE', 17, (body) => {
    const flags = body.u32();
    const mode = body.u32();
    body.skip(8);
    return { flags, mode, name: body.name() };
  }),
  open: kind('OPEN', 8, (body) => ({ flags: body.u32() })),
  // READ and WRITE are decoded by hand where they are served; these two are for the trace.
  read: kind('READ', 40, (body) => {
    const handle = body.number();
    const offset = body.offset();
    const size = body.u32();
    body.skip(12);
    return { handle, offset, size, flags: body.u32() };
  }),
  write: kind('WRITE', 40, (body) => {
    const handle = body.number();
    const offset = body.offset();
    const size = body.u32();
    body.skip(12);
    return { handle, offset, size, flags: body.u32() };
  }),
  release: kind('RELEASE', 24, (body) => {
    const handle = body.number();
    const flags = body.u32();
    const releaseFlags = body.u32();
    const owner = body.u64();
    return { handle, flags, owner: releaseFlags & RELEASE_FLOCK_UNLOCK ? owner : null };
  }),
  flush: kind('FLUSH', 24, (body) => {
    const handle = body.number();
    body.skip(8);
    return { handle, owner: body.u64() };
  }),
  fsync: kind('FSYNC', 16, (body) => ({ handle: body.number(), dataOnly: (body.u32() & FSYNC_DATA_ONLY) !== 0 })),
  fsyncdir: kind('FSYNCDIR', 16, (body) => ({ handle: body.number() })),
  statfs: kind('STATFS', 0, () => ({})),
  getxattr: kind('GETXATTR', 9, (body) => {
    const size = body.u32();
    body.skip(4);
    return { size, name: body.name() };
  }),
  setxattr: kind('SETXATTR', 9, (body) => {
    const size = body.u32();
    const flags = body.u32();
    return { flags, name: body.name(), value: body.bytes(size) };
  }),
  listxattr: kind('LISTXATTR', 8, (body) => ({ size: body.u32() })),
  removexattr: kind('REMOVEXATTR', 1, (body) => ({ name: body.name() })),
  opendir: kind('OPENDIR', 8, (body) => ({ flags: body.u32() })),
  readdir: kind('READDIR', 20, decodeReaddir),
  readdirplus: kind('READDIRPLUS', 20, decodeReaddir),
  releasedir: kind('RELEASEDIR', 24, () => ({})),
  fallocate: kind('FALLOCATE', 32, (body) => ({
    handle: body.number(),
    offset: body.offset(),
    length: body.offset(),
    mode: body.u32(),
  })),
  lseek: kind('LSEEK', 20, (body) => ({ handle: body.number(), offset: body.clampedOffset(), whence: body.u32() })),
  copyFileRange: kind('COPY_FILE_RANGE', 56, decodeCopy),
  copyFileRange64: kind('COPY_FILE_RANGE_64', 56, decodeCopy),
  getlk: kind('GETLK', 48, decodeLock),
  setlk: kind('SETLK', 48, decodeLock),
  setlkw: kind('SETLKW', 48, decodeLock),
  interrupt: kind('INTERRUPT', 8, (body) => ({ unique: body.u64() })),
  forget: kind('FORGET', 8, (body) => ({ lookups: body.u64() })),
  batchForget: kind('BATCH_FORGET', 8, (body) => ({ count: body.u32() })),
  init: kind('INIT', 16, (body) => {
    const decoded = { major: body.u32(), minor: body.u32(), readaheadMax: body.u32(), flags: BigInt(body.u32()) };
    if (body.end - body.position >= 4) decoded.flags |= BigInt(body.u32()) << 32n;
    return decoded;
  }),
  destroy: kind('DESTROY', 0, () => ({})),
} as const;

const KIND_BY_OPCODE = new Map<number, RequestKind<object>>(Object.values(REQUEST).map((each) => [each.opcode, each]));

export function kindOf(opcode: number): RequestKind<object> | undefined {
  return KIND_BY_OPCODE.get(opcode);
}

/** Decodes the header of a request of `length` bytes at the start of `buffer`. */
export function decodeHeader(buffer: Buffer, length: number): RequestHeader {
  if (length < IN_HEADER_BYTES) throw new OperationError('EINVAL', `request of ${length} bytes`);
  return {
    opcode: buffer.readUInt32LE(4),
    unique: buffer.readBigUInt64LE(8),
    node: Number(buffer.readBigUInt64LE(16)),
    uid: buffer.readUInt32LE(24),
    gid: buffer.readUInt32LE(28),
    pid: buffer.readUInt32LE(32),
  };
}
