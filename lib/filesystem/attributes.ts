import { type Attributes, ROOT_NODE, type Timestamp } from '../fuse/operations.js';
import type { VdiRecord } from '../vdi/records.js';

export const S_IFMT = 0o170000;
export const S_IFREG = 0o100000;
export const S_IFDIR = 0o040000;
export const PERMISSION_BITS = 0o7777;
export const STAT_BLOCK_BYTES = 512;

/** The root directory's owner, mode and times; kept under `/directory`. */
export interface DirectoryRecord {
  mode: number;
  uid: number;
  gid: number;
  atime: Timestamp;
  mtime: Timestamp;
  ctime: Timestamp;
}

export function directoryAttributes(record: DirectoryRecord): Attributes {
  const { mode, uid, gid, atime, mtime, ctime } = record;
  return { node: ROOT_NODE, size: 4096, blocks: 8, mode: S_IFDIR | mode, links: 2, uid, gid, atime, mtime, ctime };
}

/**
 * An image as a file. Its blocks are those of all layers that it shows, never more than its size: what a clone shares
 * counts too, since tools take a file of no blocks for one without data.
 */
export function fileAttributes(record: VdiRecord, usage: number): Attributes {
  const { id, size, mode, uid, gid, atime, mtime, ctime } = record;
  const used = Math.min(usage, Math.ceil(size / 4096) * 4096);
  return {
    node: id,
    size,
    blocks: used / STAT_BLOCK_BYTES,
    mode: S_IFREG | mode,
    links: record.unlinked ? 0 : 1,
    uid,
    gid,
    atime,
    mtime,
    ctime,
  };
}
