import {
  type Compare,
  CoordinationError,
  type KeyValue,
  type Operation,
  TRANSACTION_BYTES_MAX,
  TRANSACTION_OPERATIONS_MAX,
  type Transaction,
  VALUE_BYTES_MAX,
} from './coordination.js';

/** Bytes of UTF-8. A name of 255 bytes and the path before it fit well. */
export const KEY_BYTES_MAX = 1024;

/**
 * Refuses a transaction that no engine may carry out, before anything is read or written. As in etcd, both branches
 * are checked whichever will run, and a branch may not put a key twice nor put a key that it also deletes.
 *
 * Throws CoordinationError BAD_KEY, VALUE_TOO_LARGE (one of them, or all together) or TOO_MANY_OPERATIONS.
 */
export function checkTransaction(transaction: Transaction): void {
  const { compare = [], success = [], failure = [] } = transaction;
  checkCount('comparisons', compare.length);
  for (const { key } of compare) checkKey(key);
  for (const branch of [success, failure]) {
    checkCount('operations', branch.length);
    checkBranch(branch);
  }
  checkSize(transaction);
}

/** Whether a comparison holds for what there is of its key; null where that is absent. */
export function holds(compare: Compare, found: KeyValue | null): boolean {
  if ('modRevision' in compare) return (found?.modRevision ?? 0) === compare.modRevision;
  if ('createRevision' in compare) return (found?.createRevision ?? 0) === compare.createRevision;
  if ('version' in compare) return (found?.version ?? 0) === compare.version;
  return found !== null && Buffer.compare(found.value, compare.value) === 0;
}

/** Throws CoordinationError BAD_KEY unless `key` is a path of well-formed text of at most KEY_BYTES_MAX bytes. */
export function checkKey(key: string): void {
  if (!key.startsWith('/')) throw new CoordinationError('BAD_KEY', `key ${JSON.stringify(key)} does not start with /`);
  const bytes = Buffer.from(key);
  if (bytes.length > KEY_BYTES_MAX) {
    throw new CoordinationError('BAD_KEY', `a key of ${bytes.length} bytes, more than ${KEY_BYTES_MAX}`);
  }
  if (bytes.toString() !== key) {
    throw new CoordinationError('BAD_KEY', `key ${JSON.stringify(key)} is not well-formed text`);
  }
}

/** A prefix is a key, or empty for all keys. Throws as checkKey does. */
export function checkPrefix(prefix: string): void {
  if (prefix !== '') checkKey(prefix);
}

function checkCount(what: string, count: number): void {
  if (count <= TRANSACTION_OPERATIONS_MAX) return;
  throw new CoordinationError(
    'TOO_MANY_OPERATIONS',
    `a transaction of ${count} ${what}, more than ${TRANSACTION_OPERATIONS_MAX}`,
  );
}

function checkSize({ compare = [], success = [], failure = [] }: Transaction): void {
  let bytes = 0;
  for (const one of compare) if ('value' in one) bytes += one.value.byteLength;
  for (const operation of [...success, ...failure]) if ('put' in operation) bytes += operation.value.byteLength;
  if (bytes <= TRANSACTION_BYTES_MAX) return;
  throw new CoordinationError(
    'VALUE_TOO_LARGE',
    `the values of a transaction have ${bytes} bytes, more than ${TRANSACTION_BYTES_MAX}`,
  );
}

function checkBranch(branch: Operation[]): void {
  const puts = new Set<string>();
  for (const operation of branch) {
    if ('put' in operation) {
      checkKey(operation.put);
      checkValue(operation.put, operation.value);
      if (puts.has(operation.put)) throw new CoordinationError('BAD_KEY', `${operation.put} is put twice at once`);
      puts.add(operation.put);
    } else if ('delete' in operation) checkKey(operation.delete);
    else if ('deletePrefix' in operation) checkPrefix(operation.deletePrefix);
    else if ('get' in operation) checkKey(operation.get);
    else checkPrefix(operation.range);
  }
  for (const key of puts) {
    if (branch.some((operation) => deletes(operation, key))) {
      throw new CoordinationError('BAD_KEY', `${key} is put and deleted at once`);
    }
  }
}

function deletes(operation: Operation, key: string): boolean {
  if ('delete' in operation) return operation.delete === key;
  return 'deletePrefix' in operation && key.startsWith(operation.deletePrefix);
}

function checkValue(key: string, value: Uint8Array): void {
  if (value.byteLength <= VALUE_BYTES_MAX) return;
  throw new CoordinationError(
    'VALUE_TOO_LARGE',
    `the value of ${key} has ${value.byteLength} bytes, more than ${VALUE_BYTES_MAX}`,
  );
}
