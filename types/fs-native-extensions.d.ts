/** The part of fs-native-extensions that the store uses; the package ships no types. */
declare module 'fs-native-extensions' {
  /** Tries to take a lock on the open file (an OFD lock: it ends with the descriptor). False when another holds it. */
  export function tryLock(fd: number, offset?: number, length?: number): boolean;
  /** Punches a hole (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE) on the libuv pool. */
  export function trim(fd: number, offset: number, length: number): Promise<void>;
}
