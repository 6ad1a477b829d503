import { FIELD_MAX } from './constants.js';
import { NO_ORDER, type WriteOrder } from './write-order.js';

/*
 * What the index stores.
 *
 * Key:   family (32 bits), index (32 bits), layer (32 bits), big-endian, so that a family's objects follow each other
 *        in the order of the image, and all layers of one index stand together.
 * Value: kind (8 bits), serial of the file (48 bits, 0 for a hole), modified (48 bits), and only for an object whose
 *        file was filled up with zeros, end (32 bits).
 *
 * Active, by the same key: modified (48 bits), image (32 bits), generation and sequence of its write (48 bits each).
 *
 * Beside it, by serial (48 bits), each file's allocated blocks (16 bits), and by family and layer (32 bits each) the
 * number of their objects (48 bits) and of their blocks (48 bits).
 */

export const KEY_BYTES = 12;
const ENTRY_BYTES = 13;
const ENTRY_END_BYTES = 17;
const ACTIVE_BYTES = 22;
export const SERIAL_MAX = 2 ** 48 - 1;

/** The index has nothing. */
export const NOTHING = 0;
/** A file holds the object. */
export const OBJECT = 1;
/** The object reads as zeros, whatever lies below. */
export const HOLE = 2;

/** The object ends where its file ends. */
export const NO_END = -1;

export type EntryKind = typeof OBJECT | typeof HOLE;

export interface Entry {
  kind: EntryKind;
  /** Number of the file, unique on the disk; 0 for a hole. */
  serial: number;
  /** Epoch of the last write's activity record. */
  modified: number;
  /** Highest byte that was written, where the file's length does not tell because it was filled up; else NO_END. */
  end: number;
}

export interface Key {
  family: number;
  index: number;
  layer: number;
}

/** Writes a key into the first KEY_BYTES of `target`. */
export function writeKey(target: Buffer, family: number, index: number, layer: number): Buffer {
  target.writeUInt32BE(family, 0);
  target.writeUInt32BE(index, 4);
  target.writeUInt32BE(layer, 8);
  return target;
}

export function encodeKey(family: number, index: number, layer: number): Buffer {
  return writeKey(Buffer.allocUnsafe(KEY_BYTES), family, index, layer);
}

/** Throws where the bytes are no key. */
export function decodeKey(bytes: Buffer): Key {
  if (bytes.length !== KEY_BYTES) throw new Error(`index key of ${bytes.length} bytes`);
  return { family: bytes.readUInt32BE(0), index: bytes.readUInt32BE(4), layer: bytes.readUInt32BE(8) };
}

export function encodeEntry({ kind, serial, modified, end }: Entry): Buffer {
  if (serial > SERIAL_MAX || (kind === OBJECT) !== serial > 0) throw new Error(`bad serial ${serial}`);
  const bytes = Buffer.allocUnsafe(end === NO_END ? ENTRY_BYTES : ENTRY_END_BYTES);
  bytes[0] = kind;
  bytes.writeUIntBE(serial, 1, 6);
  bytes.writeUIntBE(modified, 7, 6);
  if (end !== NO_END) bytes.writeUInt32BE(end, 13);
  return bytes;
}

/** Throws where the bytes are no entry of this format. */
export function decodeEntry(bytes: Buffer): Entry {
  const kind = checkEntry(bytes);
  return { kind, serial: bytes.readUIntBE(1, 6), modified: bytes.readUIntBE(7, 6), end: readEnd(bytes) };
}

/** The end in an encoded entry. */
export function readEnd(bytes: Buffer): number {
  return bytes.length === ENTRY_END_BYTES ? bytes.readUInt32BE(13) : NO_END;
}

/** The kind of an encoded entry, after a look at its form. */
export function checkEntry(bytes: Buffer): EntryKind {
  const kind = bytes[0];
  const known = kind === OBJECT || kind === HOLE;
  if (!known || (bytes.length !== ENTRY_BYTES && bytes.length !== ENTRY_END_BYTES)) {
    throw new Error(`index entry of an unknown form: ${bytes.toString('hex')}`);
  }
  return kind;
}

export function encodeNumber(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(6);
  bytes.writeUIntBE(value, 0, 6);
  return bytes;
}

export function decodeNumber(bytes: Buffer): number {
  if (bytes.length !== 6) throw new Error(`number of ${bytes.length} bytes`);
  return bytes.readUIntBE(0, 6);
}

/** What is stored of an active object. */
export interface ActiveRecord extends WriteOrder {
  readonly modified: number;
}

export function encodeActive({ modified, vdi, generation, sequence }: ActiveRecord): Buffer {
  const bytes = Buffer.allocUnsafe(ACTIVE_BYTES);
  bytes.writeUIntBE(modified, 0, 6);
  bytes.writeUInt32BE(vdi, 6);
  bytes.writeUIntBE(generation, 10, 6);
  bytes.writeUIntBE(sequence, 16, 6);
  return bytes;
}

/** Throws where the bytes are no such record. */
export function decodeActive(bytes: Buffer): ActiveRecord {
  // As stored where no writer is told.
  if (bytes.length === 6) return { ...NO_ORDER, modified: decodeNumber(bytes) };
  if (bytes.length !== ACTIVE_BYTES) throw new Error(`activity record of ${bytes.length} bytes`);
  return {
    modified: bytes.readUIntBE(0, 6),
    vdi: bytes.readUInt32BE(6),
    generation: bytes.readUIntBE(10, 6),
    sequence: bytes.readUIntBE(16, 6),
  };
}

/** Blocks that a file has: at most 65535. */
export function encodeBlocks(blocks: number): Buffer {
  const bytes = Buffer.allocUnsafe(2);
  bytes.writeUInt16BE(blocks, 0);
  return bytes;
}

export function encodeUsage({ objects, blocks }: { objects: number; blocks: number }): Buffer {
  const bytes = Buffer.allocUnsafe(12);
  bytes.writeUIntBE(objects, 0, 6);
  bytes.writeUIntBE(blocks, 6, 6);
  return bytes;
}

export function decodeUsage(bytes: Buffer): { objects: number; blocks: number } {
  if (bytes.length !== 12) throw new Error(`usage of ${bytes.length} bytes`);
  return { objects: bytes.readUIntBE(0, 6), blocks: bytes.readUIntBE(6, 6) };
}

export function encodeLayerKey(family: number, layer: number): Buffer {
  const bytes = Buffer.allocUnsafe(8);
  bytes.writeUInt32BE(family, 0);
  bytes.writeUInt32BE(layer, 4);
  return bytes;
}

export function decodeLayerKey(bytes: Buffer): { family: number; layer: number } {
  if (bytes.length !== 8) throw new Error(`layer key of ${bytes.length} bytes`);
  return { family: bytes.readUInt32BE(0), layer: bytes.readUInt32BE(4) };
}

/** Name of an object's file: its place in the image first, so that a listing reads well. */
export function fileName(family: number, index: number, serial: number): string {
  return `${family}.${index}.${serial}`;
}

/** What `fileName` made the name of, or null for any other file. */
export function parseFileName(name: string): { family: number; index: number; serial: number } | null {
  const match = /^(\d{1,10})\.(\d{1,10})\.(\d{1,15})$/.exec(name);
  if (!match) return null;
  const [family, index, serial] = [Number(match[1]), Number(match[2]), Number(match[3])];
  if (family > FIELD_MAX || index > FIELD_MAX || serial < 1 || serial > SERIAL_MAX) return null;
  return fileName(family, index, serial) === name ? { family, index, serial } : null;
}
