import { SECTOR_BYTES } from './store-plan.js';

const STAMP_BYTES = 16;

/** Fills sectors, of which the first is the image's sector of this number, so that each says which write it is of. */
export function stamp(target: Buffer, family: number, sector: number, value: number): void {
  for (let at = 0; at < target.length; at += STAMP_BYTES) {
    target.writeUInt32LE(value, at);
    target.writeUInt32LE(family, at + 4);
    target.writeUInt32LE(sector + Math.floor(at / SECTOR_BYTES), at + 8);
    target.writeUInt32LE(~value >>> 0, at + 12);
  }
}

/** The value that a sector was filled with, 0 for zeros, or null where it is neither whole nor the one that it should be. */
export function readStamp(bytes: Buffer, family: number, sector: number): number | null {
  const end = bytes.length;
  if (bytes.compare(bytes, 0, end - STAMP_BYTES, STAMP_BYTES, end) !== 0) return null;
  const value = bytes.readUInt32LE(0);
  const rest = [bytes.readUInt32LE(4), bytes.readUInt32LE(8), bytes.readUInt32LE(12)];
  if (value === 0) return rest.every((field) => field === 0) ? 0 : null;
  return rest[0] === family && rest[1] === sector && rest[2] === ~value >>> 0 ? value : null;
}
