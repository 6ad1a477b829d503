import type { Attributes, DirectoryEntry, FilesystemStatistics, HeldLock, Timestamp } from './operations.js';
import {
  ATTR_BYTES,
  ATTR_OUT_BYTES,
  DIRENT_HEADER_BYTES,
  ENTRY_OUT_BYTES,
  F_RDLCK,
  F_UNLCK,
  F_WRLCK,
  FOPEN_DIRECT_IO,
  FOPEN_PARALLEL_DIRECT_WRITES,
  INIT_OUT_BYTES,
  KERNEL_MAJOR,
  LOCK_OUT_BYTES,
  OPEN_OUT_BYTES,
  PAGES_MAX,
  REQUEST_BYTES_MAX,
  STATFS_OUT_BYTES,
} from './protocol.js';

/** Encoders of what goes behind a reply's header. */

/** st_blksize: what tools read and write at a time. */
const BLOCK_BYTES_PREFERRED = 128 * 1024;

/** Requests that the kernel keeps outstanding for asynchronous I/O, and where it starts to slow writers down. */
const BACKGROUND_MAX = 64;
const CONGESTION_THRESHOLD = 48;

function writeAttributes(buffer: Buffer, at: number, attributes: Attributes): void {
  const times: Timestamp[] = [attributes.atime, attributes.mtime, attributes.ctime];
  buffer.writeBigUInt64LE(BigInt(attributes.node), at);
  buffer.writeBigUInt64LE(BigInt(attributes.size), at + 8);
  buffer.writeBigUInt64LE(BigInt(attributes.blocks), at + 16);
  times.forEach((time, i) => {
    buffer.writeBigInt64LE(BigInt(time.seconds), at + 24 + 8 * i);
    buffer.writeUInt32LE(time.nanoseconds, at + 48 + 4 * i);
  });
  buffer.writeUInt32LE(attributes.mode, at + 60);
  buffer.writeUInt32LE(attributes.links, at + 64);
  buffer.writeUInt32LE(attributes.uid, at + 68);
  buffer.writeUInt32LE(attributes.gid, at + 72);
  buffer.writeUInt32LE(BLOCK_BYTES_PREFERRED, at + 80);
}

// Names and attributes are valid for no time at all: another host may change them at any moment.
function writeEntry(buffer: Buffer, at: number, attributes: Attributes): void {
  buffer.writeBigUInt64LE(BigInt(attributes.node), at);
  writeAttributes(buffer, at + ENTRY_OUT_BYTES - ATTR_BYTES, attributes);
}

export function encodeEntry(attributes: Attributes): Buffer {
  const out = Buffer.alloc(ENTRY_OUT_BYTES);
  writeEntry(out, 0, attributes);
  return out;
}

export function encodeAttributes(attributes: Attributes): Buffer {
  const out = Buffer.alloc(ATTR_OUT_BYTES);
  writeAttributes(out, ATTR_OUT_BYTES - ATTR_BYTES, attributes);
  return out;
}

/** Opened files bypass the page cache, which no other host could keep coherent. */
export function encodeOpened(handle: number): Buffer {
  const out = Buffer.alloc(OPEN_OUT_BYTES);
  out.writeBigUInt64LE(BigInt(handle), 0);
  out.writeUInt32LE(FOPEN_DIRECT_IO | FOPEN_PARALLEL_DIRECT_WRITES, 8);
  return out;
}

export function encodeOpenedDirectory(): Buffer {
  return Buffer.alloc(OPEN_OUT_BYTES);
}

export function encodeCreated(attributes: Attributes, handle: number): Buffer {
  return Buffer.concat([encodeEntry(attributes), encodeOpened(handle)]);
}

export function encodeInit(minor: number, readaheadMax: number, flags: bigint): Buffer {
  const out = Buffer.alloc(INIT_OUT_BYTES);
  out.writeUInt32LE(KERNEL_MAJOR, 0);
  out.writeUInt32LE(minor, 4);
  out.writeUInt32LE(readaheadMax, 8);
  out.writeUInt32LE(Number(flags & 0xffffffffn), 12);
  out.writeUInt16LE(BACKGROUND_MAX, 16);
  out.writeUInt16LE(CONGESTION_THRESHOLD, 18);
  out.writeUInt32LE(REQUEST_BYTES_MAX, 20);
  out.writeUInt32LE(1, 24); // time granularity: 1 ns
  out.writeUInt16LE(PAGES_MAX, 28);
  out.writeUInt32LE(Number(flags >> 32n), 32);
  return out;
}

/** fuse_kstatfs; the counts are in blocks of `blockSize` bytes. */
export function encodeStatfs(statistics: FilesystemStatistics): Buffer {
  const out = Buffer.alloc(STATFS_OUT_BYTES);
  const counts = [
    statistics.blocks,
    statistics.blocksFree,
    statistics.blocksAvailable,
    statistics.files,
    statistics.filesFree,
  ];
  counts.forEach((count, i) => {
    out.writeBigUInt64LE(BigInt(Math.max(0, Math.floor(count))), 8 * i);
  });
  out.writeUInt32LE(statistics.blockSize, 40);
  out.writeUInt32LE(statistics.nameLengthMax, 44);
  out.writeUInt32LE(statistics.blockSize, 48);
  return out;
}

/** The answer to WRITE and COPY_FILE_RANGE. */
export function encodeWritten(bytes: number): Buffer {
  const out = Buffer.alloc(8);
  out.writeUInt32LE(bytes, 0);
  return out;
}

/** The answer to LSEEK and COPY_FILE_RANGE_64. */
export function encodeU64(value: number): Buffer {
  const out = Buffer.alloc(8);
  out.writeBigUInt64LE(BigInt(value), 0);
  return out;
}

/** The answer to GETXATTR and LISTXATTR that asked for the size alone. */
export function encodeXattrSize(bytes: number): Buffer {
  return encodeWritten(bytes);
}

const OFFSET_MAX = 0x7fffffffffffffffn;

export function encodeLock(held: HeldLock | null): Buffer {
  const out = Buffer.alloc(LOCK_OUT_BYTES);
  if (held === null) {
    out.writeUInt32LE(F_UNLCK, 16);
    return out;
  }
  out.writeBigUInt64LE(BigInt(held.start), 0);
  out.writeBigUInt64LE(held.end >= Number.MAX_SAFE_INTEGER ? OFFSET_MAX : BigInt(held.end), 8);
  out.writeUInt32LE(held.type === 'read' ? F_RDLCK : held.type === 'write' ? F_WRLCK : F_UNLCK, 16);
  out.writeUInt32LE(held.pid, 20);
  return out;
}

/**
 * As many whole entries as fit into `size` bytes, for READDIR or READDIRPLUS (`plus`). "." and ".." carry no node
 * there: the kernel must not count a look-up for them.
 */
export function encodeDirectory(entries: readonly DirectoryEntry[], size: number, plus: boolean): Buffer {
  const out = Buffer.alloc(size);
  let at = 0;
  for (const entry of entries) {
    const name = Buffer.from(entry.name);
    const head = plus ? ENTRY_OUT_BYTES : 0;
    const bytes = head + ((DIRENT_HEADER_BYTES + name.length + 7) & ~7);
    if (at + bytes > size) break;
    if (plus && entry.name !== '.' && entry.name !== '..') writeEntry(out, at, entry.attributes);
    at += head;
    out.writeBigUInt64LE(BigInt(entry.node), at);
    out.writeBigUInt64LE(BigInt(entry.cookie), at + 8);
    out.writeUInt32LE(name.length, at + 16);
    out.writeUInt32LE((entry.attributes.mode >> 12) & 0o17, at + 20); // d_type
    name.copy(out, at + DIRENT_HEADER_BYTES);
    at += bytes - head;
  }
  return out.subarray(0, at);
}
