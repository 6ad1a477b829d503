import type { Timestamp } from '../fuse/operations.js';

/**
 * What the coordination store holds of images, as JSON: `/vdi/<id>`, `/name/<name>`, `/snapshot/<vdi>/<tag>`,
 * `/family/<id>`.
 *
 * Sizes and offsets are bytes. Numbers of VDIs and families are never used again.
 */

/** The greatest image: what a double counts exactly, in whole objects. */
export const VDI_BYTES_MAX = 2 ** 53 - 4 * 1024 * 1024;

/** Node ids below it belong to the mount's directories, so a VDI's number can be its node id. */
export const VDI_ID_MIN = 16;

export interface VdiRecord {
  id: number;
  /** The name it had last; `/name/<name>` decides. */
  name: string;
  family: number;
  size: number;
  /** At least the size, raised in big steps before a write beyond it is acknowledged: `size` may lag behind writes. */
  bound: number;
  /** The image that it was cloned from. */
  parent?: number;
  /** Set while what lay beyond a smaller size is still being removed; the size to cut to is `size`. */
  cutting?: boolean;
  /** Of a snapshot: the image that it was taken of, which is never written through this record. */
  snapshotOf?: number;
  /** The name is gone; the data follows when the last handle is closed. */
  unlinked?: boolean;
  /** The host that makes it by an import, or clones it, which has not ended: removed when that host's daemon starts. */
  importing?: string;
  mode: number;
  uid: number;
  gid: number;
  atime: Timestamp;
  mtime: Timestamp;
  ctime: Timestamp;
  created: Timestamp;
  /** Extended attributes, values in base64. */
  xattrs?: Record<string, string>;
}

export interface LayerRecord {
  parent: number | null;
  /** How far what lies below this layer shows. */
  limit: number;
}

export interface FamilyRecord {
  id: number;
  /** Grows by one with each change, so that who is told of two knows which is the later. */
  version: number;
  copies: number;
  /** The number that the next layer gets. */
  nextLayer: number;
  layers: Record<string, LayerRecord>;
  /** The family's images by their number, with the layer that each one's writes go to. */
  images: Record<string, number>;
  /** Layers that nothing refers to, being deleted. */
  doomed: number[];
  /** Layers with one child and no image of their own, being merged into that child. */
  merging: { layer: number; child: number }[];
  /** By doomed or merging layer, the disks that have nothing of it any more. */
  confirmed?: Record<string, number[]>;
}

export interface NameRecord {
  vdi: number;
}

export const KEY = {
  vdi: (id: number) => `/vdi/${id}`,
  vdis: '/vdi/',
  name: (name: string) => `/name/${name}`,
  names: '/name/',
  family: (id: number) => `/family/${id}`,
  families: '/family/',
  snapshot: (vdi: number, tag: string) => `/snapshot/${vdi}/${tag}`,
  snapshotsOf: (vdi: number) => `/snapshot/${vdi}/`,
  open: (vdi: number) => `/open/${vdi}`,
  opens: '/open/',
  nextVdi: '/next/vdi',
  nextFamily: '/next/family',
  done: (host: string, unique: bigint) => `/done/${host}/${unique}`,
  doneBy: (host: string) => `/done/${host}/`,
} as const;

export function encodeRecord(record: object): Uint8Array {
  return Buffer.from(JSON.stringify(record));
}

export function decodeRecord<Type>(value: Uint8Array): Type {
  return JSON.parse(Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('utf8')) as Type;
}

export function now(): Timestamp {
  const milliseconds = performance.timeOrigin + performance.now();
  const seconds = Math.floor(milliseconds / 1000);
  return { seconds, nanoseconds: Math.floor((milliseconds - seconds * 1000) * 1e6) };
}

export function compareTimes(a: Timestamp, b: Timestamp): number {
  return a.seconds - b.seconds || a.nanoseconds - b.nanoseconds;
}
