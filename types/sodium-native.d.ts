/** The part of sodium-native that is used here; the package ships no types. */
declare module 'sodium-native' {
  /** BLAKE2b of `input` under `key` (16 to 64 bytes), as many bytes as `output` has (16 to 64). */
  export function crypto_generichash(output: Uint8Array, input: Uint8Array, key?: Uint8Array): void;
  /** Whether both are the same, in a time that tells nothing of where they differ. Throws where their lengths differ. */
  export function sodium_memcmp(a: Uint8Array, b: Uint8Array): boolean;
}
