/** Keys and values are bytes; keys are in the order of `Buffer.compare`. */
export const BINARY = { keyEncoding: 'binary', encoding: 'binary' } as const;

export interface TableRange {
  start?: Buffer;
  exclusiveStart?: boolean;
  end?: Buffer;
  inclusiveEnd?: boolean;
  reverse?: boolean;
  limit?: number;
}

/** Those of lmdb's functions on a table that the store uses, meaning what they mean there. */
export interface BinaryTable {
  get(key: Buffer): Buffer | undefined;
  /** As `get`; what is answered is good until the next call. */
  getBinaryFast(key: Buffer): Buffer | undefined;
  getRange(range?: TableRange): Iterable<{ key: Buffer; value: Buffer }>;
  getKeys(range?: TableRange): Iterable<Buffer>;
  put(key: Buffer, value: Buffer): Promise<boolean>;
  remove(key: Buffer): Promise<boolean>;
  getStats(): object;
}

/** Those of lmdb's functions on an environment that the store uses, meaning what they mean there. */
export interface BinaryEnvironment {
  openDB(name: string, options: typeof BINARY): BinaryTable;
  /** Commits what `change` puts and removes. Resolves when it is seen. */
  batch(change: () => void): Promise<boolean>;
  /** Of the moment it is asked for: resolves when all commits made before it survive a power cut. */
  readonly flushed: Promise<boolean>;
  close(): Promise<void>;
}
