import { crypto_generichash } from 'sodium-native';

const HASH_BYTES = 32;

/**
 * BLAKE2b of `parts` under `secret`, for one purpose: a hash that was made for another never equals it. Where a part ends
 * and the next begins counts too.
 */
export function keyedHash(secret: Uint8Array, purpose: string, ...parts: readonly Uint8Array[]): Buffer {
  const all = [Buffer.from(`sheepdog ${purpose}`), ...parts];
  const input = Buffer.concat(all.flatMap((part) => [lengthOf(part), part]));
  const output = Buffer.alloc(HASH_BYTES);
  crypto_generichash(output, input, secret);
  return output;
}

function lengthOf(part: Uint8Array): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32LE(part.byteLength);
  return length;
}
