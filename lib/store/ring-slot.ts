import type { WriteOrder } from './write-order.js';

/*
 * A slot of the ring file, big-endian: checksum (32 bits), kind (8 bits) and three bytes of nothing, image, family, index,
 * offset, length (32 bits each), generation and sequence of the write, and of the image's last one that is done (48 bits
 * each; all ones stand for every number). As long as a power of two, so that none lies across two pages.
 */

export const RING_SLOT_BYTES = 64;
const FAMILY_START = 12;
const INDEX_START = 16;
const USED_BYTES = 52;
const NUMBER_MAX = 2 ** 48 - 1;

/** A range that was accepted. */
export const SLOT_RANGE = 1;
/** The image's writes of the generation are not all recorded. */
export const SLOT_INCOMPLETE = 2;

export interface Slot {
  kind: number;
  vdi: number;
  family: number;
  index: number;
  offset: number;
  length: number;
  generation: number;
  sequence: number;
  doneGeneration: number;
  doneSequence: number;
}

/** Allocates nothing. A sequence of MAX_SAFE_INTEGER stands for every one. */
export function encodeSlot(
  target: Buffer,
  slot: number,
  kind: number,
  { vdi, generation }: WriteOrder,
  sequence: number,
  family: number,
  index: number,
  offset: number,
  length: number,
  doneGeneration: number,
  doneSequence: number,
): void {
  const start = slot * RING_SLOT_BYTES;
  target.writeUInt32BE(kind * 2 ** 24, start + 4);
  target.writeUInt32BE(vdi, start + 8);
  target.writeUInt32BE(family, start + FAMILY_START);
  target.writeUInt32BE(index, start + INDEX_START);
  target.writeUInt32BE(offset, start + 20);
  target.writeUInt32BE(length, start + 24);
  target.writeUIntBE(generation, start + 28, 6);
  target.writeUIntBE(Math.min(sequence, NUMBER_MAX), start + 34, 6);
  target.writeUIntBE(doneGeneration, start + 40, 6);
  target.writeUIntBE(Math.min(doneSequence, NUMBER_MAX), start + 46, 6);
  target.writeUInt32BE(checksum(target, start), start);
}

export function clearSlot(target: Buffer, slot: number): void {
  target.fill(0, slot * RING_SLOT_BYTES, (slot + 1) * RING_SLOT_BYTES);
}

/** Of a slot that is in use. */
export function familyOfSlot(source: Buffer, slot: number): number {
  return source.readUInt32BE(slot * RING_SLOT_BYTES + FAMILY_START);
}

/** Of a slot that is in use. */
export function indexOfSlot(source: Buffer, slot: number): number {
  return source.readUInt32BE(slot * RING_SLOT_BYTES + INDEX_START);
}

/** Null for a slot that is empty or torn. */
export function decodeSlot(source: Buffer, slot: number): Slot | null {
  const start = slot * RING_SLOT_BYTES;
  const kind = source[start + 4]!;
  if (kind !== SLOT_RANGE && kind !== SLOT_INCOMPLETE) return null;
  if (source.readUInt32BE(start) !== checksum(source, start)) return null;
  return {
    kind,
    vdi: source.readUInt32BE(start + 8),
    family: source.readUInt32BE(start + FAMILY_START),
    index: source.readUInt32BE(start + INDEX_START),
    offset: source.readUInt32BE(start + 20),
    length: source.readUInt32BE(start + 24),
    generation: source.readUIntBE(start + 28, 6),
    sequence: source.readUIntBE(start + 34, 6),
    doneGeneration: source.readUIntBE(start + 40, 6),
    doneSequence: source.readUIntBE(start + 46, 6),
  };
}

/** Of all but itself (FNV-1a by words, and then mixed). */
function checksum(source: Buffer, start: number): number {
  let hash = 0x811c9dc5;
  for (let at = 4; at < USED_BYTES; at += 4) {
    hash = Math.imul(hash ^ source.readUInt32BE(start + at), 0x01000193);
    hash ^= hash >>> 15;
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  return (hash ^ (hash >>> 13)) >>> 0;
}
