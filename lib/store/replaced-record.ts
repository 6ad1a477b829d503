import { type Entry, HOLE, NO_END, OBJECT } from './entry.js';

/*
 * What is stored of an index that a pull changed: group (32 bits), and for each layer of which the pull changed the file:
 * layer (32 bits), the serial of its new file (48 bits, 0 for none), whether it has a hole now (8 bits); and of what it
 * had before: kind (8 bits, 0 for nothing), serial, modified (48 bits each), end (32 bits, all ones for none), blocks of
 * the file (16 bits).
 */

const HEAD_BYTES = 4;
const LAYER_BYTES = 30;
const END_NONE = 0xffffffff;

export interface ReplacedEntry extends Entry {
  /** See Usage. */
  readonly blocks: number;
}

export interface ReplacedLayer {
  readonly layer: number;
  /** Of the file that the pull put in place; 0 where it put none. */
  readonly serial: number;
  /** Where it put none: there is a hole now, rather than nothing. */
  readonly hole: boolean;
  readonly before: ReplacedEntry | null;
}

export interface ReplacedRecord {
  readonly pg: number;
  readonly layers: readonly ReplacedLayer[];
}

export function encodeReplaced({ pg, layers }: ReplacedRecord): Buffer {
  const bytes = Buffer.alloc(HEAD_BYTES + layers.length * LAYER_BYTES);
  bytes.writeUInt32BE(pg, 0);
  for (const [i, { layer, serial, hole, before }] of layers.entries()) {
    const at = HEAD_BYTES + i * LAYER_BYTES;
    bytes.writeUInt32BE(layer, at);
    bytes.writeUIntBE(serial, at + 4, 6);
    bytes[at + 10] = hole ? 1 : 0;
    if (!before) continue;
    bytes[at + 11] = before.kind;
    bytes.writeUIntBE(before.serial, at + 12, 6);
    bytes.writeUIntBE(before.modified, at + 18, 6);
    bytes.writeUInt32BE(before.end === NO_END ? END_NONE : before.end, at + 24);
    bytes.writeUInt16BE(before.blocks, at + 28);
  }
  return bytes;
}

/** Throws where the bytes are no such record. */
export function decodeReplaced(bytes: Buffer): ReplacedRecord {
  if (bytes.length < HEAD_BYTES || (bytes.length - HEAD_BYTES) % LAYER_BYTES !== 0) {
    throw new Error(`record of ${bytes.length} bytes of what was replaced`);
  }
  const layers: ReplacedLayer[] = [];
  for (let at = HEAD_BYTES; at < bytes.length; at += LAYER_BYTES) {
    layers.push({
      layer: bytes.readUInt32BE(at),
      serial: bytes.readUIntBE(at + 4, 6),
      hole: bytes[at + 10] === 1,
      before: decodeBefore(bytes, at),
    });
  }
  return { pg: bytes.readUInt32BE(0), layers };
}

function decodeBefore(bytes: Buffer, at: number): ReplacedEntry | null {
  const kind = bytes[at + 11];
  if (kind === 0) return null;
  if (kind !== OBJECT && kind !== HOLE) throw new Error(`what was replaced is of kind ${kind}`);
  const end = bytes.readUInt32BE(at + 24);
  return {
    kind,
    serial: bytes.readUIntBE(at + 12, 6),
    modified: bytes.readUIntBE(at + 18, 6),
    end: end === END_NONE ? NO_END : end,
    blocks: bytes.readUInt16BE(at + 28),
  };
}
