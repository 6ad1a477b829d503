/**
 * The agreed key-value store: strictly serializable, with the semantics of etcd's v3 API (revisions, compare-and-put
 * transactions, watches). Keys are paths such as `/vdi/17`; values are bytes, at most VALUE_BYTES_MAX.
 *
 * What resolves is durable.
 */

export const VALUE_BYTES_MAX = 1024 * 1024;
/** etcd's own default of --max-txn-ops. */
export const TRANSACTION_OPERATIONS_MAX = 128;

/** Of all values of a transaction, those of comparisons and of both branches. */
export const TRANSACTION_BYTES_MAX = 8 * 1024 * 1024;

export interface KeyValue {
  key: string;
  value: Uint8Array;
  /** Store revision of the put that made the key; a key that was deleted and put again starts anew. */
  createRevision: number;
  /** Store revision of the last put. */
  modRevision: number;
  /** Puts since it was made, from 1. */
  version: number;
}

export type Compare =
  /** 0: the key is absent. */
  | { key: string; modRevision: number }
  | { key: string; createRevision: number }
  | { key: string; version: number }
  | { key: string; value: Uint8Array };

export type Operation =
  | { put: string; value: Uint8Array }
  | { delete: string }
  | { deletePrefix: string }
  | { get: string }
  | { range: string };

export interface TransactionResult {
  /** Whether every comparison held, so that `success` was carried out and not `failure`. */
  succeeded: boolean;
  /** Revision of the store after it. */
  revision: number;
  /** One list an operation: what get and range found, empty for the others. */
  responses: KeyValue[][];
}

export interface Transaction {
  compare?: Compare[];
  success?: Operation[];
  failure?: Operation[];
}

export interface WatchEvent {
  type: 'put' | 'delete';
  /** For a deletion, its key and the revision of the deletion, with an empty value. */
  keyValue: KeyValue;
}

export interface Watch {
  close(): void;
}

export interface Coordination {
  get(key: string): Promise<KeyValue | null>;
  /** Every key that starts with `prefix`, in byte order of the keys. */
  range(prefix: string): Promise<KeyValue[]>;
  transaction(transaction: Transaction): Promise<TransactionResult>;
  /**
   * Calls `listener` with the events of each later revision, in order, all events of one revision together.
   */
  watch(prefix: string, listener: (events: WatchEvent[], revision: number) => void): Watch;
  /** Revision of the store now. */
  revision(): Promise<number>;
  close(): Promise<void>;
}

export type CoordinationErrorCode =
  | 'VALUE_TOO_LARGE'
  | 'BAD_KEY'
  | 'TOO_MANY_OPERATIONS'
  | 'CLOSED'
  | 'WRONG_FORMAT'
  /** It did not answer: what was asked for may have been carried out, may still be, or may never be. */
  | 'UNAVAILABLE';

export class CoordinationError extends Error {
  readonly code: CoordinationErrorCode;

  constructor(code: CoordinationErrorCode, message: string) {
    super(message);
    this.name = 'CoordinationError';
    this.code = code;
  }
}
