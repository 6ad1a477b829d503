import { crypto_generichash } from 'sodium-native';

/*
 * The header of the ring file: what it is and its form (16 bytes), whether it lost count (8 bits), length of the boot id
 * (8 bits), the boot id; its last bytes are a hash of the rest. A page, so that slots begin at one.
 */

export const RING_HEADER_BYTES = 4096;
const MAGIC = Buffer.from('sheepdog ring 1\n');
const HASH_BYTES = 16;
const HASH_START = RING_HEADER_BYTES - HASH_BYTES;
const BOOT_ID_START = MAGIC.length + 2;

export interface RingHeader {
  /** The kernel's boot id that the slots belong to. */
  readonly bootId: string;
  /** More writes were not recorded than the ring could say: it knows nothing until the next boot. */
  readonly lost: boolean;
}

export function encodeHeader({ bootId, lost }: RingHeader): Buffer {
  const bytes = Buffer.alloc(RING_HEADER_BYTES);
  const id = Buffer.from(bootId);
  if (id.length > 255) throw new Error(`a boot id of ${id.length} bytes`);
  MAGIC.copy(bytes);
  bytes[MAGIC.length] = lost ? 1 : 0;
  bytes[MAGIC.length + 1] = id.length;
  id.copy(bytes, BOOT_ID_START);
  crypto_generichash(bytes.subarray(HASH_START), bytes.subarray(0, HASH_START));
  return bytes;
}

/** Null for a file that is no ring, or not one of this form. */
export function readHeader(bytes: Buffer): RingHeader | null {
  if (!bytes.subarray(0, MAGIC.length).equals(MAGIC)) return null;
  const hash = Buffer.alloc(HASH_BYTES);
  crypto_generichash(hash, bytes.subarray(0, HASH_START));
  if (!hash.equals(bytes.subarray(HASH_START))) return null;
  const bootId = bytes.toString('utf8', BOOT_ID_START, BOOT_ID_START + bytes[MAGIC.length + 1]!);
  return { bootId, lost: bytes[MAGIC.length] === 1 };
}
